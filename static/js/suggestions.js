// What to write next, under the prompt and the negative prompt: ↑ ↓ walk, Enter or Tab takes, Esc closes.

import { Listbox } from "./listbox.js";
import { say } from "./news.js";

const DELAY = 140;
const FIELDS = ["prompt", "negative_prompt"];
const boxes = new WeakMap();

function boxOf(field) {
  if (!boxes.has(field)) {
    const list = document.getElementById(`suggestions-${field.name}`);
    boxes.set(field, new Listbox(field, list, (option) => take(field, option)));
  }
  return boxes.get(field);
}

const isOpen = (field) => !boxOf(field).list.hidden;

function close(field) {
  const box = boxOf(field);
  box.activate(null);
  box.list.hidden = true;
}

async function ask(field) {
  const list = boxOf(field).list;
  const asked = field.value.slice(0, field.selectionStart);
  const body = new URLSearchParams({ field: field.name, text: asked });
  const headers = { "X-CSRFToken": document.querySelector("meta[name=csrf-token]").content };
  const response = await fetch(field.form.dataset.suggestions, { method: "POST", body, headers }).catch(() => null);
  // An answer to what stands there no longer is no answer.
  if (!response?.ok || response.redirected || document.activeElement !== field) return;
  const options = await response.text();
  if (field.value.slice(0, field.selectionStart) !== asked) return;
  boxOf(field).activate(null);
  const opens = list.hidden;
  list.innerHTML = options;
  list.hidden = !list.children.length;
  if (opens && !list.hidden) say(list.querySelector("[data-said]").dataset.said);
}

function take(field, option) {
  const { insert, start, whole } = option.dataset;
  const from = whole === undefined ? Number(start) : 0;
  const to = whole === undefined ? field.selectionStart : field.value.length;
  field.focus();
  field.setRangeText(insert, from, to, "end");
  close(field);
  field.dispatchEvent(new Event("input", { bubbles: true }));
  clearTimeout(timer);
}

let timer = 0;
const isOurs = (target) => FIELDS.includes(target.name) && target.form?.id === "generate-form";

document.addEventListener("input", ({ target }) => {
  if (!isOurs(target)) return;
  clearTimeout(timer);
  timer = setTimeout(ask, DELAY, target);
});

document.addEventListener("keydown", (event) => {
  const field = event.target;
  if (!isOurs(field) || event.isComposing || event.ctrlKey || event.metaKey) return;
  if (!isOpen(field)) {
    const wants = event.key === "ArrowDown" && (event.altKey || !field.value);
    if (wants) ask(field);
    if (wants) event.preventDefault();
    return;
  }
  const box = boxOf(field);
  if (event.key === "ArrowDown" || event.key === "ArrowUp") box.move(event.key === "ArrowDown" ? 1 : -1, true);
  else if (event.key === "Escape") close(field);
  else if ((event.key === "Enter" || event.key === "Tab") && box.active) take(field, box.active);
  else return;
  event.preventDefault();
  event.stopPropagation();
}, true);

document.addEventListener("focusout", ({ target }) => isOurs(target) && close(target));
