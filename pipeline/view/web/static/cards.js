// A card for each stream: its image as soon as it is decoded, what was seen in it, its zones and lines.

import { clock, lasting, make, percent, showText } from "./text.js";

const PICTURE_LATE_MS = 4000; // the server sends images, but none is drawn here
const MOTION_EVERY_MS = 10_000;
const LEAST_SCORE = 0.01; // hides rows of 0%, as in the overlay; the best label is always shown
const SVG = "http://www.w3.org/2000/svg";

export function makeCard(id) {
  const root = document.getElementById("card").content.firstElementChild.cloneNode(true);
  root.dataset.stream = id;
  root.querySelector("h2").textContent = id;
  const canvas = root.querySelector("canvas");
  canvas.setAttribute("aria-label", `Live image of ${id}`);
  const chips = Object.fromEntries([...root.querySelectorAll("[data-chip]")].map((li) => [li.dataset.chip, li]));
  const card = {
    id,
    root,
    canvas,
    chips,
    context: canvas.getContext("2d", { alpha: false }),
    moving: root.querySelector(".moving"),
    camera: root.querySelector(".camera"),
    top: root.querySelector(".top"),
    watched: root.querySelector(".watched"),
    motion: root.querySelector(".motion"),
    moved: root.querySelector(".moved"),
    stale: root.querySelector(".stale"),
    old: root.querySelector(".old"),
    ended: false,
    silent: false,
    drawnAt: Date.now(),
    sentAt: Date.now(), // since when the server has had new images
    motionAt: 0,
  };
  for (let bar = 0; bar < 60; bar++) card.motion.querySelector("svg").append(makeBar(bar));
  return card;
}

function makeBar(index) {
  const bar = document.createElementNS(SVG, "rect");
  bar.setAttribute("x", index * 5);
  bar.setAttribute("width", 4);
  bar.append(document.createElementNS(SVG, "title"));
  return bar;
}

export async function drawPicture(card, jpeg) {
  const bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
  if (card.canvas.width !== bitmap.width || card.canvas.height !== bitmap.height) {
    card.canvas.width = bitmap.width;
    card.canvas.height = bitmap.height;
  }
  card.context.drawImage(bitmap, 0, 0);
  bitmap.close();
  card.drawnAt = Date.now();
}

export function showInfo(card, info) {
  const { fps, latency, past, frame } = card.chips;
  showText(fps, info.fps == null ? "" : `${info.fps.toFixed(1)} fps`);
  showText(latency, info.latency_ms == null ? "" : `${info.latency_ms.toFixed(0)} ms`);
  showText(past, info.depth == null ? "no prediction" : `past ${info.depth}${info.past ? `/${info.past}` : ""}`);
  past.dataset.state = info.depth == null || (info.past && info.depth < info.past) ? "short" : "full";
  showText(frame, `epoch ${info.epoch} #${info.seq}`);
  // An image without a prediction keeps the last one in view, dimmed.
  for (const part of [card.top, card.moving, card.camera]) part.dataset.old = String(!info.top);
  if (!info.top) return;
  showTop(card.top, info.top, info.truth);
  showText(card.moving, info.moving ?? "");
  showText(card.camera, info.camera ?? "");
}

function showTop(list, labels, truth) {
  const top = labels.filter(([, score], rank) => rank === 0 || score >= LEAST_SCORE);
  while (list.children.length > top.length) list.lastElementChild.remove();
  while (list.children.length < top.length) {
    const row = make("li");
    row.append(make("i"), make("b"), make("span"));
    list.append(row);
  }
  top.forEach(([label, score], rank) => {
    const [bar, name, share] = list.children[rank].children;
    bar.style.width = `${(score * 100).toFixed(1)}%`;
    name.textContent = label;
    share.textContent = `${Math.round(score * 100)}%`;
    const verdict = truth == null || rank > 0 ? "" : label === truth ? "right" : "wrong";
    list.children[rank].dataset.verdict = verdict;
    list.children[rank].title = verdict === "wrong" ? `truth: ${truth}` : "";
  });
}

// Shows whether the values of a card are live, or why no newer image arrives.
export function showState(card, lost) {
  const late = Date.now() - card.drawnAt;
  const state = card.ended ? "ended" : lost ? "lost" : card.silent || late > PICTURE_LATE_MS ? "stale" : "live";
  const words = {
    live: "",
    ended: "stream ended",
    lost: "connection lost",
    stale: `no new frame for ${lasting(late)}`,
  }[state];
  card.root.dataset.state = state;
  showText(card.stale, words);
  showText(card.old, words && `${words}: showing the last values`);
}

export function noteStreams(card, state) {
  const ended = state.ended.includes(card.id);
  const silent = state.silent.includes(card.id);
  if ((card.ended || card.silent) && !ended && !silent) card.sentAt = Date.now();
  card.ended = ended;
  card.silent = silent;
}

// The server has new images of a visible card, but this page draws none.
export function frozenPicture(card) {
  const isDue = !card.root.hidden && !card.ended && !card.silent && !document.hidden;
  if (!isDue || Date.now() - Math.max(card.drawnAt, card.sentAt) <= PICTURE_LATE_MS) return [];
  return [{ words: `${card.id}: this page receives no frames`, since_ms: card.drawnAt, next: "", next_ms: null }];
}

export function showWatched(card, watched) {
  const list = card.watched;
  list.parentElement.hidden = watched.length === 0;
  while (list.children.length > watched.length) list.lastElementChild.remove();
  while (list.children.length < watched.length) {
    const row = make("li");
    row.append(make("b"), make("span", "now"), make("span", "much"));
    list.append(row);
  }
  watched.forEach((one, index) => {
    const row = list.children[index];
    const [name, now, much] = row.children;
    name.textContent = one.name;
    row.dataset.kind = one.kind;
    row.dataset.moving = String(one.moving ?? false);
    if (one.kind === "line") {
      showText(now, `${one.forward} forward, ${one.backward} back`);
      showText(much, "");
      row.title = "Crossings since the sink started, or since this line was changed";
    } else {
      showText(now, one.moving == null ? "zone" : one.moving ? "● moving" : "○ quiet");
      showText(much, one.share == null ? "" : `${percent(one.share)} of the last minute`);
      row.title = one.moving == null ? "No rule watches for motion here" : "";
    }
  });
}

// One bar per minute; its height is the share of the minute with motion.
export async function showMotion(card) {
  if (Date.now() - card.motionAt < MOTION_EVERY_MS) return;
  card.motionAt = Date.now();
  const answer = await fetch(`api/streams/${encodeURIComponent(card.id)}/motion`).catch(() => null);
  if (!answer?.ok) return;
  const minutes = (await answer.json()).moving_share_by_minute;
  const known = minutes.filter((share) => share != null);
  const mean = known.reduce((sum, share) => sum + share, 0) / Math.max(known.length, 1);
  const words = `${spanOf(minutes, known.length)}: something moved ${percent(mean)} of the time`;
  const now = minutes.at(-1) == null ? "" : `, now ${percent(minutes.at(-1))}`;
  card.motion.hidden = known.length === 0;
  showText(card.motion.querySelector("figcaption"), words);
  const svg = card.motion.querySelector("svg");
  svg.setAttribute("aria-label", `Motion by minute. ${words}${now}`);
  minutes.forEach((share, index) => {
    const bar = svg.children[index];
    const height = share == null ? 0 : Math.max(share * 40, 1);
    bar.setAttribute("height", height);
    bar.setAttribute("y", 40 - height);
    const minute = clock(Date.now() - (minutes.length - 1 - index) * 60_000).slice(0, 5);
    bar.firstChild.textContent = share == null ? "" : `${minute}: something moved ${percent(share)} of this minute`;
  });
}

function spanOf(minutes, known) {
  const span = minutes.length - minutes.findIndex((share) => share != null);
  const seen = known < span ? ` (frames in ${known} of them)` : "";
  return (span < minutes.length ? `Last ${span} min` : "Last hour") + seen;
}
