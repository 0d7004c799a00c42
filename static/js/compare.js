// Pictures beside or upon each other: one zoom for all, a slider between two. Without this file they stand side by side.

import { isTyping, keysAreOn } from "./app.js";
import "./judgement.js";
import { showPercent, zoomable, zoomButtons, zoomKey } from "./zoom.js";

const root = document.getElementById("compare");
const zoomBox = document.querySelector("[data-zoom]");
const zoom = zoomable([...root.querySelectorAll("[data-stage]")], { changed: (now) => showPercent(zoomBox, now) });
zoomButtons(zoomBox, zoom);

// --- the slider -----------------------------------------------------------------------------------------------------
const split = root.querySelector("[data-split]");
const handle = root.querySelector("[data-split-handle]");
const panes = root.querySelector(".panes");

function showSplit() {
  root.style.setProperty("--split", `${split.querySelector("input").value}%`);
}

function splitAt(clientX) {
  const box = panes.getBoundingClientRect();
  split.querySelector("input").value = (100 * (clientX - box.left)) / box.width;
  showSplit();
}

function show(view) {
  root.dataset.view = view;
  split.hidden = handle.hidden = view !== "slider";
  for (const link of document.querySelectorAll("[data-view-link]")) {
    if (link.dataset.viewLink === view) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  zoom.fit();
}

if (split) {
  split.addEventListener("input", showSplit);
  handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
  handle.addEventListener("pointermove", (event) => handle.hasPointerCapture(event.pointerId) && splitAt(event.clientX));
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("[data-view-link]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    history.replaceState(history.state, "", link.href);
    show(link.dataset.viewLink);
  });
  showSplit();
  show(root.dataset.view);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (zoomKey(zoom, event.key, keysAreOn())) event.preventDefault();
  else if (event.key === "Escape") document.querySelector("[data-back]").click();
});

// Back to where one came from, as it was left there; the link leads to the gallery.
document.querySelector("[data-back]").addEventListener("click", (event) => {
  if (!document.referrer.startsWith(location.origin) || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  history.back();
});
