// After pictures have changed, what is on screen is made true again. The words about it, with Undo, are toasts.js's.

import { toast } from "../app.js";

import { clearSelection, selectedTiles } from "./selection.js";

const toasts = document.getElementById("toasts");
const csrf = () => document.querySelector('meta[name="csrf-token"]').content;
const bar = () => document.getElementById("selection");

// Sends a form's fields like htmx does, for what has to react before the answer comes. Throws when it was refused.
export async function post(address, fields) {
  const headers = { "X-CSRFToken": csrf(), "HX-Request": "true", Accept: "application/json" };
  const reply = await fetch(address, { method: "POST", body: new URLSearchParams(fields), headers });
  const events = JSON.parse(reply.headers.get("HX-Trigger") ?? "{}");
  for (const [name, detail] of Object.entries(events)) document.dispatchEvent(new CustomEvent(name, { detail }));
  if (reply.redirected) location.reload(); // the session has ended
  if (!reply.ok && !events.toast) toast(toasts.dataset.refused);
  if (!reply.ok) throw new Error(reply.statusText);
  return reply;
}

// --- tiles ------------------------------------------------------------------------------------------------------
export function showFavourite(tile, on) {
  tile.querySelector(".heart").setAttribute("aria-pressed", on);
}

export function showRating(tile, rating) {
  const stars = tile.querySelector(".stars");
  stars.dataset.rating = rating || "";
  stars.ariaLabel = rating ? bar().querySelector(`[name=rating][value="${rating}"]`).ariaLabel : null;
  stars.hidden = !rating;
}

// --- after a button of the bar ----------------------------------------------------------------------------------
function countAgain() {
  if (document.getElementById("facet-list")) htmx.ajax("GET", location.href, { target: "#facet-list", swap: "innerHTML" });
}

function showAgain() {
  const filters = document.getElementById("filters");
  if (filters) filters.requestSubmit();
  else location.reload();
}

function takeAway(tiles, how) {
  const everything = bar().elements.all?.checked;
  clearSelection();
  if (everything) return showAgain();
  for (const tile of tiles) Object.assign(tile, { hidden: true }).dataset.gone = how;
  return countAgain();
}

function bringBack() {
  const tiles = document.querySelectorAll("#grid [data-gone=trash]");
  if (!tiles.length) return showAgain();
  for (const tile of tiles) {
    tile.hidden = false;
    delete tile.dataset.gone;
  }
  return countAgain();
}

function each(tiles, show, value) {
  for (const tile of tiles) show(tile, value);
  countAgain();
}

const SHOWN = {
  favourite: (tiles) => each(tiles, showFavourite, true),
  unfavourite: (tiles) => each(tiles, showFavourite, false),
  rate: (tiles, button) => each(tiles, showRating, Number(button.value)),
  trash: (tiles) => takeAway(tiles.filter((tile) => "mine" in tile.dataset), "trash"),
  "take-out": (tiles) => takeAway(tiles, "out"),
};

document.addEventListener("htmx:afterRequest", ({ detail: { elt, successful } }) => {
  if (!successful) return;
  if (elt === toasts) bringBack(); // Undo is all that toasts post
  if (!elt.dataset?.does) return;
  elt.closest("[popover]")?.hidePopover();
  (SHOWN[elt.dataset.does] ?? countAgain)(selectedTiles(), elt);
});

// --- a page out of the browser's memory -------------------------------------------------------------------------
// What was judged or thrown away on another page meanwhile is fetched for the tiles on screen.
addEventListener("pageshow", async ({ persisted }) => {
  if (!persisted || !document.getElementById("grid")) return;
  const reply = await fetch(location.href, { headers: { "HX-Request": "true" } });
  const fresh = document.createElement("template");
  fresh.innerHTML = await reply.text();
  for (const tile of fresh.content.querySelectorAll(".tile")) {
    const shown = document.getElementById(tile.id);
    if (shown) for (const part of [".heart", ".stars"]) shown.querySelector(part).replaceWith(tile.querySelector(part));
  }
});

// Enter in a field of the bar presses the button beside it.
document.addEventListener("keydown", (event) => {
  const presses = event.target.dataset?.presses;
  if (event.key !== "Enter" || !presses) return;
  event.preventDefault();
  document.getElementById(presses).click();
});
