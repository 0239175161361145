// Live events, newest first; each opens its stored evidence: clip, images, and why it was reported.

import { lasting, make, percent, showText, when } from "./text.js";

const MOST = 100;
const ASK_AGAIN_MS = [1500, 3000, 5000, 8000, 15_000, 30_000]; // evidence is available some seconds after its event

const list = document.getElementById("events");
const none = document.getElementById("no-events");
const told = document.getElementById("told");
const rows = new Map(); // by event id; an event with a start and an end has the id of its start
let shownStream = "";
let keepsEvidence = true;
let keepsEvents = true;

export function followEvents() {
  const feed = new EventSource("api/events/live");
  feed.onopen = () => {
    load();
    setTimeout(load, 3000); // the latest events reach the store with a short delay
  };
  feed.onerror = () => {
    // If cut off, it reconnects by itself; if rejected because of too many clients, it does not.
    if (feed.readyState === EventSource.CLOSED) setTimeout(followEvents, 5000);
  };
  feed.onmessage = ({ data }) => {
    const event = JSON.parse(data);
    take(event, true);
    told.textContent = `${event.stream_id}: ${event.words}`;
  };
}

// Without a store, only events from now on can be shown.
export function noteKeeping(keeps) {
  if (keeps === keepsEvents) return;
  keepsEvents = keeps;
  none.textContent = keeps ? "No events yet." : "No events since this page was opened. Events are not stored.";
}

async function load() {
  if (!keepsEvents) return;
  const answer = await fetch("api/events").catch(() => null);
  if (!answer?.ok) return;
  const events = (await answer.json()).slice(0, MOST);
  for (const event of events.reverse()) take(event, false);
}

export function showEventsOf(stream) {
  shownStream = stream;
  for (const row of rows.values()) showOrHide(row);
  none.hidden = anyInView();
}

const anyInView = () => [...rows.values()].some((row) => !row.root.hidden);

function showOrHide(row) {
  row.root.hidden = shownStream !== "" && row.event.stream_id !== shownStream;
}

function take(event, isNew) {
  const id = event.start ?? event.id;
  let row = rows.get(id);
  if (!row) {
    row = makeRow(id, event);
    rows.set(id, row);
    place(row);
    if (rows.size > MOST) forgetOldest();
    if (isNew) askForEvidence(row, 0);
    else inView.observe(row.root);
  }
  if (event.phase === "end") {
    if (isNew && row.end === null) askForEvidence(row, 0); // its clip is complete only now
    row.end = event;
    const why = event.why?.ended ? `; ${event.why.ended}` : "";
    showText(row.lasted, `lasted ${heldFor(event.for_s ?? 0)}${why}`);
  } else if (event.phase === "start" && !row.end) showText(row.lasted, "ongoing");
  showOrHide(row);
  none.hidden = anyInView();
}

const heldFor = (seconds) => (seconds < 0.5 ? "less than 1 s" : lasting(seconds * 1000));

function makeRow(id, event) {
  const root = make("li");
  const button = make("button", "event");
  button.type = "button";
  const room = make("span", "thumb"); // reserves space for the image, so that the layout does not shift
  const picture = make("img");
  picture.alt = "";
  picture.hidden = true;
  room.append(picture);
  const text = make("span", "what");
  const time = make("time", "", when(Date.parse(event.time)));
  time.dateTime = event.time;
  const lasted = make("span", "lasted");
  text.append(make("b", "", event.words), time, make("span", "where", event.stream_id), lasted);
  button.append(room, text);
  root.append(button);
  const row = { id, root, event, picture, lasted, files: [], end: null };
  button.onclick = () => open(row);
  return row;
}

function place(row) {
  const after = [...list.children].find((other) => other.firstChild.querySelector("time").dateTime <= row.event.time);
  list.insertBefore(row.root, after ?? null);
}

function forgetOldest() {
  const oldest = list.lastElementChild;
  for (const [id, row] of rows) if (row.root === oldest) rows.delete(id);
  inView.unobserve(oldest);
  oldest.remove();
}

// -- evidence ---------------------------------------------------------------------------------------

const fileOf = (row, name) => `api/events/${row.id}/evidence/${name}`;

// For earlier events, evidence is requested only when a row comes into view, not for all at once.
const inView = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    const row = isIntersecting && [...rows.values()].find(({ root }) => root === target);
    if (row) askForEvidence(row, ASK_AGAIN_MS.length - 1);
  }
});

async function askForEvidence(row, turn) {
  inView.unobserve(row.root);
  if (!keepsEvidence || !rows.has(row.id)) return;
  const answer = await fetch(`api/events/${row.id}/evidence`).catch(() => null);
  if (answer?.ok) {
    const { kept, complete, files } = await answer.json();
    keepsEvidence = kept;
    list.dataset.pictures = String(kept);
    row.files = files;
    if (files.includes("snapshot.jpg") && row.picture.hidden) {
      row.picture.src = fileOf(row, "snapshot.jpg");
      row.picture.hidden = false;
    }
    if (row === opened) showEvidence(row);
    if (complete) return;
  }
  if (turn < ASK_AGAIN_MS.length) setTimeout(() => askForEvidence(row, turn + 1), ASK_AGAIN_MS[turn]);
}

// -- one event --------------------------------------------------------------------------------------

const dialog = document.getElementById("event");
const part = (name) => dialog.querySelector(`.${name}`);
let opened = null;

dialog.onclose = () => {
  opened = null;
  part("clip").removeAttribute("src");
  part("clip").load();
};
part("close").onclick = () => dialog.close();
for (const choice of dialog.querySelectorAll("input")) choice.onchange = () => showEvidence(opened);

function open(row) {
  opened = row;
  const { event } = row;
  part("title").textContent = event.words;
  part("moment").textContent = `${event.stream_id}, ${when(Date.parse(event.time))}${
    row.lasted.hidden || row.lasted.textContent === "" ? "" : `, ${row.lasted.textContent}`
  }`;
  part("numbers").replaceChildren(...numbers(event));
  showEvidence(row);
  dialog.showModal();
}

function showEvidence(row) {
  const has = (name) => row.files.includes(name);
  const wanted = dialog.querySelector("input:checked").value;
  const clip = has(wanted) ? wanted : ["overlay.mp4", "clip.mp4"].find(has);
  const video = part("clip");
  video.hidden = !clip;
  part("choice").hidden = !(has("overlay.mp4") && has("clip.mp4"));
  const source = clip ? fileOf(row, clip) : "";
  if (clip && video.getAttribute("src") !== source) video.src = source;
  const still = clip ? "" : ["overlay.jpg", "snapshot.jpg"].find(has) ?? "";
  showPicture(part("still"), still && fileOf(row, still));
  showPicture(part("matches"), has("matches.jpg") && fileOf(row, "matches.jpg"));
  part("why").hidden = !has("matches.jpg");
  const missing = keepsEvidence ? "No images of this event are available (yet)." : "Images of events are not stored.";
  showText(part("missing"), row.files.length ? "" : missing);
}

function showPicture(image, source) {
  image.hidden = !source;
  if (source && image.getAttribute("src") !== source) image.src = source;
}

function numbers(event) {
  const direction = event.direction_deg == null ? null : `${Math.round(event.direction_deg)}\u00b0`;
  const facts = {
    rule: event.rule,
    direction,
    speed: event.speed == null ? null : `${event.speed.toFixed(2)} image widths/s`,
    size: event.size == null ? null : `${(event.size * 100).toPrecision(2)}% of the image`,
    confidence: event.score == null ? null : percent(event.score),
    ...event.why,
  };
  return Object.entries(facts)
    .filter(([, value]) => value != null)
    .flatMap(([name, value]) => [make("dt", "", name.replaceAll("_", " ")), make("dd", "", inWords(value))]);
}

function inWords(value) {
  if (typeof value === "number") return String(Number(value.toPrecision(3)));
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
