// The live page: one WebSocket, a card for each stream, pictures drawn as soon as they are decoded.

const STALE_MS = 2000;
const RECONNECT_MS = [250, 500, 1000, 2000, 4000];

const tabs = document.getElementById("tabs");
const main = document.getElementById("streams");
const connection = document.getElementById("connection");
const cards = new Map();
let socket = null;
let failures = 0;
let chosen = decodeURIComponent(location.hash.slice(1));

function connect() {
  socket = new WebSocket(`ws://${location.host}/live`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    failures = 0;
    showConnection("live", "live");
    showStates();
  };
  socket.onmessage = ({ data }) => {
    if (typeof data === "string") showStreams(JSON.parse(data));
    else showPicture(data);
  };
  socket.onclose = () => {
    showConnection("disconnected", "disconnected, trying again");
    showStates();
    setTimeout(connect, RECONNECT_MS[Math.min(failures++, RECONNECT_MS.length - 1)]);
  };
}

function showConnection(state, words) {
  document.body.dataset.connection = state;
  // Unchanged words are not written again: a screen reader would repeat them.
  if (connection.textContent !== words) connection.textContent = words;
}

function send(request) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(request));
}

function showStreams({ streams, ended }) {
  for (const id of streams) if (!cards.has(id)) cards.set(id, makeCard(id));
  for (const [id, card] of cards) card.ended = ended.includes(id);
  showStates();
  main.replaceChildren(...[...cards.keys()].sort().map((id) => cards.get(id).root));
  makeTabs();
  choose(cards.has(chosen) ? chosen : "");
}

function makeTabs() {
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
}

function choose(name) {
  chosen = name;
  history.replaceState(null, "", name ? `#${encodeURIComponent(name)}` : location.pathname);
  const watched = name ? [name] : [...cards.keys()];
  for (const [id, card] of cards) card.root.hidden = !watched.includes(id);
  for (const tab of tabs.children) tab.setAttribute("aria-pressed", String(tab.dataset.stream === name));
  main.dataset.count = Math.min(watched.length, 4);
  document.getElementById("empty").hidden = cards.size > 0;
  send({ watch: watched });
}

function makeCard(id) {
  const root = document.getElementById("card").content.firstElementChild.cloneNode(true);
  root.dataset.stream = id;
  root.querySelector("h2").textContent = id;
  const canvas = root.querySelector("canvas");
  canvas.setAttribute("aria-label", `Live picture of ${id}`);
  const chips = Object.fromEntries([...root.querySelectorAll("[data-chip]")].map((li) => [li.dataset.chip, li]));
  return {
    root,
    canvas,
    chips,
    context: canvas.getContext("2d", { alpha: false }),
    moving: root.querySelector(".moving"),
    camera: root.querySelector(".camera"),
    top: root.querySelector(".top"),
    stale: root.querySelector(".stale"),
    old: root.querySelector(".old"),
    ended: false,
    drawnAt: performance.now(),
  };
}

async function showPicture(buffer) {
  const length = new DataView(buffer).getUint32(0);
  const info = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  try {
    const card = cards.get(info.stream_id);
    const bitmap = await createImageBitmap(new Blob([new Uint8Array(buffer, 4 + length)], { type: "image/jpeg" }));
    if (card.canvas.width !== bitmap.width || card.canvas.height !== bitmap.height) {
      card.canvas.width = bitmap.width;
      card.canvas.height = bitmap.height;
    }
    card.context.drawImage(bitmap, 0, 0);
    bitmap.close();
    card.drawnAt = performance.now();
    showInfo(card, info);
    showStates();
  } finally {
    send({ drawn: info.stream_id });
  }
}

function showInfo(card, info) {
  const { fps, latency, past, frame } = card.chips;
  showText(fps, info.fps == null ? "" : `${info.fps.toFixed(1)} fps`);
  showText(latency, info.latency_ms == null ? "" : `${info.latency_ms.toFixed(0)} ms`);
  showText(past, info.depth == null ? "no prediction" : `past ${info.depth}${info.past ? `/${info.past}` : ""}`);
  past.dataset.state = info.depth == null || (info.past && info.depth < info.past) ? "short" : "full";
  showText(frame, `epoch ${info.epoch} #${info.seq}`);
  // A picture without a prediction leaves the last one in view, dimmed.
  for (const part of [card.top, card.moving, card.camera]) part.dataset.old = String(!info.top);
  if (!info.top) return;
  showTop(card.top, info.top, info.truth);
  showText(card.moving, info.moving ?? "");
  showText(card.camera, info.camera ?? "");
}

function showText(element, text) {
  element.textContent = text;
  element.hidden = !text;
}

function showTop(list, top, truth) {
  while (list.children.length > top.length) list.lastElementChild.remove();
  while (list.children.length < top.length) {
    const row = document.createElement("li");
    row.append(document.createElement("i"), document.createElement("b"), document.createElement("span"));
    list.append(row);
  }
  top.forEach(([label, score], rank) => {
    const [bar, name, percent] = list.children[rank].children;
    bar.style.width = `${(score * 100).toFixed(1)}%`;
    name.textContent = label;
    percent.textContent = `${Math.round(score * 100)}%`;
    const verdict = truth == null || rank > 0 ? "" : label === truth ? "right" : "wrong";
    list.children[rank].dataset.verdict = verdict;
    list.children[rank].title = verdict === "wrong" ? `truth: ${truth}` : "";
  });
}

// What a card shows is as old as its last picture: live, or one of the reasons why nothing newer comes.
function showState(card) {
  const silent = performance.now() - card.drawnAt;
  const lost = document.body.dataset.connection === "disconnected";
  const state = card.ended ? "ended" : lost ? "lost" : silent > STALE_MS ? "stale" : "live";
  const words = {
    live: "",
    ended: "stream ended",
    lost: "connection lost",
    stale: `no new picture for ${Math.floor(silent / 1000)} s`,
  }[state];
  card.root.dataset.state = state;
  for (const [element, text] of [[card.stale, words], [card.old, words && `${words}: last values`]]) {
    element.hidden = !text;
    if (element.textContent !== text) element.textContent = text;
  }
}

function showStates() {
  for (const card of cards.values()) showState(card);
  if (document.body.dataset.connection === "disconnected") return;
  const over = cards.size > 0 && [...cards.values()].every((card) => card.ended);
  showConnection(over ? "ended" : "live", over ? "ended" : "live");
}

setInterval(showStates, 500);

connect();
