// Selecting: tick box, X, Ctrl/⌘-click, Shift for everything between, a long press, all results.

import { chosen } from "./chosen.js";

const LONG_PRESS = 450;
const form = () => document.getElementById("selection");
const boxes = () => [...document.querySelectorAll("#selection input[name=image]")];
const allBox = () => form()?.elements.all;
let anchor = null;

export const boxOf = (tile) => tile.querySelector("input[name=image]");
export const selectedTiles = () => boxes().filter((box) => box.checked).map((box) => box.closest(".tile"));
export const isSelecting = () => form()?.matches(".has-selection, .is-selecting") ?? false;

// --- what is on screen follows what is chosen -------------------------------------------------------------------
function show() {
  if (!form()) return;
  const ids = new Set(chosen.ids());
  const all = allBox()?.checked ?? false;
  for (const box of boxes()) box.checked = all || ids.has(box.value);
  form().classList.toggle("has-selection", all || ids.size > 0);
  const words = form().querySelector("[data-selected]");
  const counted = document.getElementById("take-all")?.dataset.number;
  const number = all ? counted : ids.size.toLocaleString(document.documentElement.lang);
  const { one, many, everything } = words.dataset;
  words.textContent = number ? (number === "1" ? one : many).replace("#", number) : everything;
  for (const button of form().querySelectorAll("[data-compares]")) {
    button.disabled = all || ids.size < 2 || ids.size > 4;
  }
}

// Everything from one box to another. Taking one away from all results leaves those that are on screen.
export function choose(box, on, from = box) {
  const there = boxes();
  if (allBox()?.checked) {
    allBox().checked = false;
    chosen.set(there.map((other) => other.value), true);
  }
  const begin = there.includes(from) ? from : box;
  const [first, last] = [there.indexOf(begin), there.indexOf(box)].sort((a, b) => a - b);
  chosen.set(there.slice(first, last + 1).map((other) => other.value), on);
  anchor = box;
}

export function clearSelection() {
  if (allBox()) allBox().checked = false;
  form()?.classList.remove("is-selecting");
  document.querySelector("[data-select]")?.setAttribute("aria-pressed", "false");
  chosen.clear();
}

document.addEventListener("selection-changed", show);
document.addEventListener("htmx:afterSwap", show);
addEventListener("pageshow", show); // the browser puts its own memory of tick boxes back

// --- mouse and keyboard -----------------------------------------------------------------------------------------
document.addEventListener("click", (event) => {
  const { target } = event;
  if (target.form === form() && target.name === "all") show();
  if (target.form === form() && target.name === "image") choose(target, target.checked, event.shiftKey ? anchor : target);
  if (!target.closest("#selection .picture")) return;
  if (!(event.ctrlKey || event.metaKey || event.shiftKey || isSelecting()) || event.detail === 0) return;
  event.preventDefault();
  const box = boxOf(target.closest(".tile"));
  choose(box, event.shiftKey || !box.checked, event.shiftKey ? anchor : box);
});
// Shift selects pictures, not words.
document.addEventListener("mousedown", (event) => {
  if (event.shiftKey && event.target.closest("#selection .tile")) event.preventDefault();
});
document.addEventListener("reset", (event) => {
  if (event.target !== form()) return;
  event.preventDefault();
  clearSelection();
});

// --- touch: a long press begins, taps go on; the button does the same ---------------------------------------------
let press = 0;
function pressed(tile) {
  choose(boxOf(tile), true);
  navigator.vibrate?.(10);
  // The click that ends the press must not open the picture.
  const swallow = (event) => { event.preventDefault(); event.stopPropagation(); };
  addEventListener("click", swallow, { capture: true, once: true });
  setTimeout(() => removeEventListener("click", swallow, { capture: true }), 1000);
}

document.addEventListener("pointerdown", (event) => {
  const tile = event.pointerType === "touch" && event.target.closest("#selection .tile");
  clearTimeout(press);
  if (tile) press = setTimeout(pressed, LONG_PRESS, tile);
});
for (const end of ["pointerup", "pointercancel", "scroll"]) {
  addEventListener(end, () => clearTimeout(press), { passive: true });
}
document.addEventListener("contextmenu", (event) => {
  if (event.pointerType === "touch" && event.target.closest("#selection .tile")) event.preventDefault();
});
document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-select]");
  if (!button) return;
  const on = form().classList.toggle("is-selecting");
  button.setAttribute("aria-pressed", on);
  if (!on) clearSelection();
});

// --- sending ----------------------------------------------------------------------------------------------------
// What was selected on pages that are not loaded comes along; all results need no list.
document.addEventListener("formdata", ({ target, formData }) => {
  if (target !== form()) return;
  formData.delete("image");
  if (!formData.has("all")) for (const id of chosen.ids()) formData.append("image", id);
});

// What was ticked before this module had come. The form's autocomplete is off, so it is nothing remembered.
const early = boxes().filter((box) => box.checked).map((box) => box.value);
if (early.length) chosen.set(early, true);
show();
