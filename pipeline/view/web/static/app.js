// The live page: one WebSocket for images and state. A page that receives nothing shows that it is disconnected.

import { offerAttention } from "./attention.js";
import { drawPicture, frozenPicture, makeCard, noteStreams, showInfo, showMotion, showState, showWatched } from "./cards.js";
import { followEvents, noteKeeping, showEventsOf } from "./events.js";
import { showHeader } from "./header.js";
import { offerToKeep, showMoved } from "./keep_view.js";

const SILENT_MS = 2000; // the server sends its state twice a second
const OPEN_MS = 5000;
const RECONNECT_MS = [250, 500, 1000, 2000, 4000];

const tabs = document.getElementById("tabs");
const main = document.getElementById("streams");
const cards = new Map();
let socket = null;
let failures = 0;
let startedAt = 0;
let heardAt = 0;
let retryAt = null;
let state = null;
let ahead = 0; // how far the server's clock is ahead of this browser's, in ms
let chosen = decodeURIComponent(location.hash.slice(1));

function connect() {
  const mine = new WebSocket(`ws://${location.host}/live`);
  socket = mine;
  startedAt = Date.now();
  retryAt = null;
  mine.binaryType = "arraybuffer";
  mine.onmessage = ({ data }) => {
    if (socket !== mine) return;
    heardAt = Date.now();
    failures = 0;
    if (typeof data === "string") takeState(JSON.parse(data));
    else takePicture(data);
  };
  mine.onclose = () => reconnect(mine);
}

function reconnect(closed) {
  if (socket !== closed) return;
  socket = null;
  closed.close();
  const wait = RECONNECT_MS[Math.min(failures++, RECONNECT_MS.length - 1)];
  retryAt = Date.now() + wait;
  setTimeout(connect, wait);
  showAll();
}

// An open connection may be dead: the server has been stopped, or a tunnel hangs.
function checkConnection() {
  if (!socket) return;
  const opening = socket.readyState === WebSocket.CONNECTING;
  const silent = Date.now() - Math.max(heardAt, startedAt);
  if (silent > (opening ? OPEN_MS : SILENT_MS)) reconnect(socket);
}

function lost() {
  if (socket && Date.now() - heardAt <= SILENT_MS) return null;
  if (!heardAt && Date.now() - startedAt <= SILENT_MS && !failures) return null;
  return { words: "disconnected: no answer from the server", since_ms: heardAt || null, next: "retrying", next_ms: retryAt };
}

function send(request) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(request));
}

function takeState(told) {
  const before = state;
  state = told;
  ahead = told.now_ms - Date.now();
  noteKeeping(told.keeps_events);
  if (!before) followEvents();
  for (const id of cards.keys()) if (!told.streams.includes(id)) cards.delete(id);
  for (const id of told.streams) if (!cards.has(id)) addCard(id);
  for (const [id, card] of cards) {
    noteStreams(card, told);
    showMoved(card, told.camera_moved[id], told.takes_token);
    showWatched(card, told.watched[id] ?? []);
    showMotion(card);
  }
  if (String(before?.streams) !== String(told.streams) || watching !== socket) showStreams();
  showAll();
}

function addCard(id) {
  const card = makeCard(id);
  cards.set(id, card);
  offerAttention(card);
  offerToKeep(card);
}

let watching = null; // the connection that has been sent the streams in view

function showStreams() {
  main.replaceChildren(...[...cards.keys()].sort().map((id) => cards.get(id).root));
  const names = cards.size > 1 ? ["", ...[...cards.keys()].sort()] : [];
  tabs.replaceChildren(
    ...names.map((name) => {
      const tab = document.createElement("button");
      tab.type = "button";
      tab.textContent = name || "All";
      tab.dataset.stream = name;
      tab.onclick = () => choose(name);
      return tab;
    }),
  );
  choose(cards.has(chosen) ? chosen : "");
}

function choose(name) {
  chosen = name;
  history.replaceState(null, "", name ? `#${encodeURIComponent(name)}` : location.pathname);
  const watched = name ? [name] : [...cards.keys()];
  for (const [id, card] of cards) {
    const hidden = !watched.includes(id);
    if (card.root.hidden && !hidden) card.sentAt = Date.now(); // its next image is on the way
    card.root.hidden = hidden;
  }
  for (const tab of tabs.children) tab.setAttribute("aria-pressed", String(tab.dataset.stream === name));
  main.dataset.count = Math.min(watched.length, 4);
  document.getElementById("empty").hidden = cards.size > 0;
  showEventsOf(name);
  watching = socket;
  send({ watch: watched });
}

async function takePicture(buffer) {
  const length = new DataView(buffer).getUint32(0);
  const info = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  try {
    const card = cards.get(info.stream_id);
    if (!card) return;
    await drawPicture(card, new Uint8Array(buffer, 4 + length));
    showInfo(card, info);
    showState(card, lost());
  } finally {
    send({ drawn: info.stream_id });
  }
}

function showAll() {
  const gone = lost();
  for (const card of cards.values()) showState(card, gone);
  showHeader(state, gone, [...cards.values()].flatMap(frozenPicture), ahead);
}

setInterval(() => {
  checkConnection();
  showAll();
}, 250);
document.addEventListener("visibilitychange", () => {
  for (const card of cards.values()) card.sentAt = Date.now();
});

connect();
