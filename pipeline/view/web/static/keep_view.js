// Shows that a camera points elsewhere; with the token, makes the current image its reference view.

import { make, showText, when } from "./text.js";

const TOKEN = "token"; // kept only in this tab, until it is closed

const dialog = document.getElementById("keep");
const part = (name) => dialog.querySelector(`.${name}`);
const form = dialog.querySelector("form");
const field = dialog.querySelector("input");
let stream = "";
let turn = 0;

export function offerToKeep(card) {
  const button = card.moved.querySelector("button");
  button.setAttribute("aria-label", `Keep this view of ${card.id}`);
  button.onclick = () => open(card.id);
}

// `since` is missing unless the camera points elsewhere.
export function showMoved(card, since, takesToken) {
  card.moved.hidden = !since;
  if (!since) return;
  const [words, button] = card.moved.children;
  showText(words, `The camera has been pointing elsewhere since ${when(Date.parse(since))}`);
  button.hidden = !takesToken;
}

function open(id) {
  stream = id;
  part("title").textContent = `Keep this view of ${id}?`;
  form.hidden = false;
  part("done").replaceChildren();
  field.value = "";
  dialog.showModal();
  refuse("");
}

// Shows why nothing was changed, and allows another attempt.
function refuse(why) {
  showText(part("refused"), why);
  const isKnown = sessionStorage.getItem(TOKEN) !== null;
  part("token").hidden = field.disabled = isKnown;
  setBusy(false);
  (isKnown ? part("do") : field).focus();
}

function setBusy(isBusy) {
  part("do").disabled = isBusy;
  part("do").textContent = isBusy ? "Please wait" : "Keep this view";
}

form.onsubmit = async (event) => {
  event.preventDefault();
  const mine = ++turn;
  const token = sessionStorage.getItem(TOKEN) ?? field.value.trim();
  showText(part("refused"), "");
  setBusy(true);
  const response = await fetch(`api/streams/${encodeURIComponent(stream)}/view`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
  }).catch(() => null);
  const told = await response?.json().catch(() => null);
  if (response?.status === 401) sessionStorage.removeItem(TOKEN);
  else if (response?.ok || response?.status === 409) sessionStorage.setItem(TOKEN, token);
  if (mine !== turn) return; // the dialog was closed in the meantime
  if (response?.ok && told) show(told);
  else refuse(whyNot(response, told));
};

function whyNot(response, told) {
  if (!response) return "The server does not respond.";
  if (response.status === 401) return "Wrong token.";
  return told?.error ? `Not changed: ${told.error}.` : "The server rejected the request without a reason.";
}

function show({ lasts, notes }) {
  form.hidden = true;
  const words = ["The new view is in use.", `Zones and lines: ${lasts}.`, ...notes.map((note) => `${note}.`)];
  part("done").replaceChildren(...words.map((text) => make("p", "", text)));
  part("title").textContent = stream;
  part("close").focus();
}

dialog.onclose = () => {
  turn++;
  field.value = "";
};
for (const name of ["close", "cancel"]) part(name).onclick = () => dialog.close();
