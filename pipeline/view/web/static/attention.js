// Attention in earlier frames for one place of an image, chosen by click or keyboard.

import { make, percent, showText } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";
const DIM = 0.6;
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const dialog = document.getElementById("attention");
const part = (name) => dialog.querySelector(`.${name}`);
let asked = null; // the requested stream and place
let answer = null;
let turn = 0;

export function offerAttention(card) {
  const { canvas, id } = card;
  const button = card.root.querySelector(".look-back");
  button.setAttribute("aria-label", `Look back: find a place of ${id} in earlier frames`);
  button.onclick = () => open(id, [0.5, 0.5]);
  canvas.onclick = (event) => {
    const place = placeOf(event, canvas, canvas.width / canvas.height);
    if (place) open(id, place);
  };
}

// As shares of the image, which may be letterboxed in its element.
function placeOf(event, element, aspect) {
  const box = element.getBoundingClientRect();
  const width = Math.min(box.width, box.height * aspect);
  const x = (event.clientX - box.left - (box.width - width) / 2) / width;
  const y = (event.clientY - box.top - (box.height - width / aspect) / 2) / (width / aspect);
  return [x, y].every((share) => share >= 0 && share <= 1) ? [x, y] : null;
}

function open(stream, place) {
  answer = null;
  part("looks").hidden = true;
  part("title").textContent = "Where was this place in earlier frames?";
  for (const name of ["moment", "found", "refused"]) showText(part(name), "");
  ask(stream, place);
  dialog.showModal();
}

async function ask(stream, place) {
  const mine = ++turn;
  asked = { stream, place };
  const [x, y] = place.map((share) => share.toFixed(4));
  const path = `api/streams/${encodeURIComponent(stream)}/attention?x=${x}&y=${y}&pictures=true`;
  const response = await fetch(path).catch(() => null);
  const told = await response?.json().catch(() => null);
  if (mine !== turn) return;
  if (response?.ok && told) show(told);
  else showText(part("refused"), told?.error ?? "The server does not respond.");
}

dialog.addEventListener("keydown", (event) => {
  const step = KEYS[event.key];
  if (!step || !answer) return;
  event.preventDefault();
  const { cell } = answer;
  const inside = (share, size) => Math.min(Math.max(share, size / 2), 1 - size / 2);
  ask(asked.stream, [inside(cell.x + step[0] * cell.width, cell.width), inside(cell.y + step[1] * cell.height, cell.height)]);
});
dialog.onclose = () => {
  turn++;
  part("now").replaceChildren();
  part("before").replaceChildren();
};
part("close").onclick = () => dialog.close();

// -- the answer -------------------------------------------------------------------------------------

function show(told) {
  answer = told;
  const most = Math.max(...told.past.flatMap(({ weights }) => weights.flat()), 1e-6);
  const views = told.past.map((frame, index) => {
    const name = `t-${told.past.length - index}`;
    const where = whereabouts(frame.most, told.cell);
    const shape = told.thing && moved(told.thing, frame.thing.box);
    const view = makeView(frame.picture, [...dimmed(frame.weights, most), ...marks(frame.most, shape)]);
    return makeFigure(view, name, `${age(frame.age_ms)} before`, `${where}, ${percent(frame.share)} of the attention`);
  });
  const now = makeView(told.picture, [spotlight(told.cell), ...marks(told.cell, told.thing?.outline), ...dot(asked.place)]);
  now.onclick = (event) => {
    const box = now.getBoundingClientRect();
    const place = placeOf(event, now, box.width / box.height);
    if (place) ask(asked.stream, place);
  };
  part("now").replaceChildren(...makeFigure(now, "now", "", "the selected place").children);
  part("before").replaceChildren(...views.reverse());
  showText(part("moment"), `${asked.stream}, epoch ${told.epoch} #${told.seq}`);
  showText(part("refused"), "");
  showText(part("found"), inWords(told));
  part("of-thing").hidden = !told.thing;
  part("looks").hidden = false;
}

// Such as "100 ms and 200 ms before: at the same place".
function inWords({ past, cell }) {
  const found = past.toReversed().map((frame) => [age(frame.age_ms), whereabouts(frame.most, cell)]);
  const isOne = found.every(([, where]) => where === found[0][1]);
  if (isOne) return `${found.map(([when]) => when).join(" and ")} before: ${found[0][1]}`;
  return found.map(([when, where]) => `${when} before: ${where}`).join("; ");
}

const age = (ms) => (ms < 9999.5 ? `${Math.round(ms)} ms` : `${Math.round(ms / 1000)} s`);

// Such as "2 cells to the left, 1 cell up", from where the place is now.
function whereabouts(found, cell) {
  const right = Math.round((found.x - cell.x) / cell.width);
  const down = Math.round((found.y - cell.y) / cell.height);
  const cells = (count) => `${count} ${count === 1 ? "cell" : "cells"}`;
  const parts = [];
  if (right) parts.push(`${cells(Math.abs(right))} ${right < 0 ? "to the left" : "to the right"}`);
  if (down) parts.push(`${cells(Math.abs(down))} ${down < 0 ? "up" : "down"}`);
  return parts.join(", ") || "at the same place";
}

function makeFigure(view, name, when, words) {
  const figure = make("figure");
  const caption = make("figcaption");
  caption.append(make("b", "", name), ` ${when}`, make("span", "", words));
  figure.append(view, caption);
  return figure;
}

function makeView(picture, shapes) {
  const view = make("div", picture ? "view" : "view gone", picture ? "" : "no longer available");
  if (picture) {
    const image = make("img");
    image.src = picture;
    image.alt = "";
    view.append(image);
  }
  const svg = element("svg", { viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true" });
  svg.append(...shapes);
  view.append(svg);
  return view;
}

// Bright where the weight is high.
function dimmed(weights, most) {
  const height = 1 / weights.length;
  const width = 1 / weights[0].length;
  return weights.flatMap((row, y) =>
    row.map((weight, x) => {
      const opacity = DIM * (1 - Math.sqrt(weight / most));
      return element("rect", { class: "dim", x: x * width, y: y * height, width, height, "fill-opacity": opacity.toFixed(3) });
    }),
  );
}

function spotlight(cell) {
  const [x, y] = [cell.x - cell.width / 2, cell.y - cell.height / 2];
  const d = `M0 0H1V1H0Z M${x} ${y}h${cell.width}v${cell.height}h${-cell.width}Z`;
  return element("path", { class: "dim", d, "fill-rule": "evenodd", "fill-opacity": DIM / 2 });
}

function marks(cell, outline) {
  const { width, height } = cell;
  const box = { x: cell.x - width / 2, y: cell.y - height / 2, width, height };
  const points = outline?.map((point) => point.join(" ")).join(", ");
  return ["halo", "line"].flatMap((kind) => [
    element("rect", { class: `cell ${kind}`, ...box }),
    ...(points ? [element("polygon", { class: `thing ${kind}`, points })] : []),
  ]);
}

// A line of zero length with round caps stays round at any aspect ratio.
function dot([x, y]) {
  return ["halo", "line"].map((kind) => element("path", { class: `dot ${kind}`, d: `M${x} ${y}h0` }));
}

// The outline of an object at an earlier position: moved and scaled with its box.
function moved(thing, was) {
  const [x, y, width, height] = thing.box;
  return thing.outline.map(([px, py]) => [
    was[0] + ((px - x) / Math.max(width, 0.01)) * was[2],
    was[1] + ((py - y) / Math.max(height, 0.01)) * was[3],
  ]);
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
