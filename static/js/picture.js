// One picture: zoom, the way to its neighbours, star and rating at once, the pictures picked, and copying. Without this
// file the page still shows everything, its forms post and its links go.

import { isTyping, keysAreOn } from "./app.js";
import { chosen } from "./gallery/chosen.js";
import "./judgement.js";
import { toast } from "./toasts.js";
import { showPercent, zoomable, zoomButtons, zoomKey } from "./zoom.js";

const page = () => document.getElementById("picture");
const find = (selector) => page()?.querySelector(selector);
let zoom = null;

// --- the picture --------------------------------------------------------------------------------------------------
function prepare() {
  sessionStorage.setItem("seen", page().dataset.image); // where the grid goes back to
  const box = find("[data-zoom]");
  zoom = zoomable([find("[data-stage]")], {
    changed: (now) => showPercent(box, now),
    swiped: (way) => follow(way > 0 ? "ArrowRight" : "ArrowLeft"),
  });
  zoomButtons(box, zoom);
  find("[data-pick]").hidden = false;
  showPicked();
  for (const { dataset } of page().querySelectorAll("[data-preload]")) new Image().src = dataset.preload;
}

function say(words) {
  document.getElementById("picture-news").textContent = words;
}

function follow(key) {
  const link = find(`a[data-key="${key}"]`);
  if (key === "Escape" && cameFromGallery()) history.back(); // where the grid is as it was left
  else link?.click();
}

function cameFromGallery() {
  const gallery = new URL(find('a[data-key="Escape"]').href).pathname;
  return document.referrer.startsWith(location.origin) && new URL(document.referrer).pathname === gallery;
}

// The next picture takes the place of this one; whoever pressed its link stays on that link.
let focused = "";
document.addEventListener("htmx:beforeSwap", ({ target }) => {
  if (target === page()) focused = document.activeElement?.dataset?.key ?? "";
});
document.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.elt?.id !== "picture" && detail.target?.id !== "picture") return;
  prepare();
  if (focused) (find(`a[data-key="${focused}"]`) ?? find("a[data-key]"))?.focus();
  say(find(".full").alt);
});

document.addEventListener("click", (event) => {
  const link = event.target.closest?.('a[data-key="Escape"]');
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || !cameFromGallery()) return;
  event.preventDefault();
  history.back();
});

// --- what is picked -----------------------------------------------------------------------------------------------
// It is the gallery's own selection: what is ticked in the grid is picked here, and the other way round.
function showPicked() {
  const ids = chosen.ids();
  find("[data-pick]").setAttribute("aria-pressed", chosen.has(page().dataset.image));
  const tray = find("[data-picked]");
  tray.hidden = !ids.length;
  const count = tray.querySelector("[data-picked-count]");
  count.textContent = count.dataset.pickedCount.replace("#", ids.length);
  const compare = tray.querySelector("[data-picked-compare]");
  compare.search = new URLSearchParams(ids.map((id) => ["image", id]));
  compare.hidden = ids.length < 2 || ids.length > 4;
  for (const field of tray.querySelectorAll("input[name=image]")) field.remove();
  tray.append(...ids.map((value) => Object.assign(document.createElement("input"), { type: "hidden", name: "image", value })));
}

document.addEventListener("selection-changed", showPicked);
document.addEventListener("click", ({ target }) => {
  const { image } = page().dataset;
  if (target.closest?.("[data-pick]")) chosen.set([image], !chosen.has(image));
  if (target.closest?.("[data-picked-clear]")) chosen.clear();
});

// --- tags ---------------------------------------------------------------------------------------------------------
// They are seen where they were added, so the words go to those who do not see them.
document.addEventListener("pictures-changed", ({ target, detail }) => {
  if (!target.matches?.("[data-quiet]")) return;
  say(detail.words);
  detail.words = "";
}, true);

// --- the trash ----------------------------------------------------------------------------------------------------
// The next picture comes, and the message that offers to undo it stays.
let isGone = false;
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.target.matches("[data-trash]")) isGone = true;
  else if (isGone && event.target.id === "organise") event.preventDefault();
});
document.addEventListener("htmx:afterRequest", ({ target, detail }) => {
  if (!target.matches("[data-trash]")) return;
  isGone = false;
  const id = page().dataset.image;
  if (!detail.successful) return;
  chosen.set([id], false);
  follow(find('a[data-key="ArrowRight"]') ? "ArrowRight" : "ArrowLeft");
});

// --- copying ------------------------------------------------------------------------------------------------------
// Over plain http browsers offer no clipboard; there a selection is copied the old way.
async function copy(element) {
  if (navigator.clipboard) return navigator.clipboard.writeText(element.textContent);
  getSelection().selectAllChildren(element);
  document.execCommand("copy");
  getSelection().removeAllRanges();
}

document.addEventListener("click", async ({ target }) => {
  const button = target.closest?.("[data-copies]");
  if (!button) return;
  await copy(document.getElementById(button.dataset.copies));
  toast(button.dataset.done);
});

// --- keys ---------------------------------------------------------------------------------------------------------
const byLetter = (key) => {
  const form = find("[data-judge]");
  if (key === "x") find("[data-pick]").click();
  else if (key === "f") form?.querySelector("[name=favourite]").click();
  else if (/^[1-5]$/.test(key)) form?.querySelector(`[data-stars="${key}"]`).click();
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (document.querySelector(":popover-open, dialog[open]")) return;
  if (zoomKey(zoom, event.key, keysAreOn())) return event.preventDefault();
  if (["ArrowLeft", "ArrowRight", "Escape"].includes(event.key)) follow(event.key);
  else if (keysAreOn()) byLetter(event.key.toLowerCase());
});

prepare();
