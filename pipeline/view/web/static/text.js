// Small helpers for text and elements.

export function make(name, className = "", text = "") {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

// Unchanged text is not set again: a screen reader would repeat it, and a selection would be lost.
export function showText(element, text) {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = !text;
}

export function clock(ms) {
  return new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
}

// Such as "14:02:11", preceded by the date if it is not today.
export function when(ms) {
  const date = new Date(ms);
  const day = date.toDateString() === new Date().toDateString() ? "" : `${date.toLocaleDateString()} `;
  return day + clock(ms);
}

export function lasting(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h`;
}

export const percent = (share) => `${Math.round(share * 100)}%`;
