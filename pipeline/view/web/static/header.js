// The header: the worst problem, since when, and what happens next.

import { clock, lasting, make, showText } from "./text.js";

const connection = document.getElementById("connection");
const also = document.getElementById("also");
const said = document.getElementById("said");

// A problem of the page itself comes first, because everything else shown is then outdated.
export function showHeader(state, lost, frozen, ahead) {
  const troubles = lost ? [lost] : [...(state?.troubles ?? []), ...frozen];
  const name = lost ? "disconnected" : !state ? "connecting" : troubles.length ? "trouble" : state.state;
  const quiet = { connecting: "connecting", waiting: "waiting for the first frame", ended: "ended", live: "live" };
  const now = Date.now() + (lost ? 0 : ahead);
  document.body.dataset.connection = name;
  showText(connection, troubles.length ? sentence(troubles[0], now) : quiet[name]);
  showText(said, troubles.length ? since(troubles[0]) : quiet[name]); // without the running seconds
  document.title = troubles.length ? `! ${troubles[0].words} - KVQ Stream` : "KVQ Stream";
  showAlso(troubles.slice(1), state?.more ?? 0, now);
}

function since(trouble) {
  return trouble.words + (trouble.since_ms == null ? "" : ` since ${clock(trouble.since_ms)}`);
}

function sentence(trouble, now) {
  const lasted = trouble.since_ms == null ? "" : ` (${lasting(now - trouble.since_ms)})`;
  if (!trouble.next) return since(trouble) + lasted;
  const wait = trouble.next_ms == null ? 0 : trouble.next_ms - now;
  return `${since(trouble)}${lasted}, ${trouble.next} ${wait > 0 ? `in ${Math.ceil(wait / 1000)} s` : "now"}`;
}

const problems = (count) => `${count} more problem${count === 1 ? "" : "s"}`;

function showAlso(troubles, more, now) {
  also.hidden = troubles.length === 0;
  const [summary, list] = also.children;
  showText(summary, troubles.length ? `and ${problems(troubles.length + more)}` : "");
  while (list.children.length > troubles.length) list.lastElementChild.remove();
  while (list.children.length < troubles.length) list.append(make("li"));
  troubles.forEach((trouble, index) => showText(list.children[index], sentence(trouble, now)));
}
