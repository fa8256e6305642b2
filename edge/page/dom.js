// Writes to the page only what changed.

const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));
const setText = (element, text) => {
  if (element && element.textContent !== text) element.textContent = text;
};
const set = (element, name, value) => {
  if (element && element.getAttribute(name) !== value) element.setAttribute(name, value);
};
