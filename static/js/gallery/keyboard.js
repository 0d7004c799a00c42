// One tile and what lies on it is in the tab order; the arrows go on from it. Enter opens it: its focus is on a link.

import { isTyping } from "../app.js";

import { favourite, rate } from "./judging.js";
import { boxOf, choose, clearSelection, isSelecting } from "./selection.js";

const linkOf = (tile) => tile.querySelector("a");
const grid = () => document.getElementById("grid");
let current = null;

// --- one tile in the tab order ------------------------------------------------------------------------------------
function setTab(tile, index) {
  for (const part of tile.querySelectorAll("a, input, .heart")) part.tabIndex = index;
}

function enter(tile) {
  if (current === tile) return;
  if (current?.isConnected) setTab(current, -1);
  current = tile;
  if (tile) setTab(tile, 0);
}

function settle() {
  if (!grid()) return;
  for (const tile of grid().querySelectorAll(".tile:not([data-settled])")) {
    tile.dataset.settled = "";
    setTab(tile, -1);
  }
  if (!current?.isConnected) enter(grid().querySelector(".tile"));
}

document.addEventListener("focusin", ({ target }) => {
  const tile = target.closest("#grid .tile");
  if (tile) enter(tile);
});
document.addEventListener("htmx:afterSwap", settle);
settle();

// --- arrows -----------------------------------------------------------------------------------------------------
const beside = (tile, way) => {
  let other = tile[way];
  while (other && (!other.matches(".tile") || other.hidden)) other = other[way];
  return other;
};

// In the next row, the tile whose middle is nearest.
function acrossRows(tile, way) {
  const middle = ({ offsetLeft, offsetWidth }) => offsetLeft + offsetWidth / 2;
  let other = beside(tile, way);
  while (other && other.offsetTop === tile.offsetTop) other = beside(other, way);
  let best = other;
  for (const row = other?.offsetTop; other && other.offsetTop === row; other = beside(other, way)) {
    if (Math.abs(middle(other) - middle(tile)) < Math.abs(middle(best) - middle(tile))) best = other;
  }
  return best;
}

const MOVES = {
  ArrowLeft: (tile) => beside(tile, "previousElementSibling"),
  ArrowRight: (tile) => beside(tile, "nextElementSibling"),
  ArrowUp: (tile) => acrossRows(tile, "previousElementSibling"),
  ArrowDown: (tile) => acrossRows(tile, "nextElementSibling"),
  Home: () => grid().querySelector(".tile"),
  End: () => [...grid().querySelectorAll(".tile")].at(-1),
};

function move(tile, event) {
  const other = MOVES[event.key](tile);
  if (!other) return;
  event.preventDefault();
  linkOf(other).focus();
  if (event.shiftKey) choose(boxOf(other), true, boxOf(tile));
}

// --- single keys ------------------------------------------------------------------------------------------------
const allowed = () => document.body.dataset.keys !== "off";

function act(tile, key) {
  if (key === "x") choose(boxOf(tile), !boxOf(tile).checked);
  else if (key === "f") favourite(tile);
  else if (/^[0-5]$/.test(key)) rate(tile, Number(key));
}

document.addEventListener("keydown", (event) => {
  if (isTyping(event.target)) return;
  const tile = event.target.closest?.("#grid .tile");
  if (tile && event.key in MOVES && !event.ctrlKey && !event.metaKey && !event.altKey) return move(tile, event);
  if (event.key === "Escape" && isSelecting() && !document.querySelector(":popover-open")) return clearSelection();
  if (tile && allowed() && !event.ctrlKey && !event.metaKey && !event.altKey) act(tile, event.key.toLowerCase());
});
