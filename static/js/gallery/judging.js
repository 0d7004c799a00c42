// Favourites and ratings act at once on the tile, and go back when the site says no.

import { post, showFavourite, showRating } from "./changes.js";
import { selectedTiles } from "./selection.js";

const isFavourite = (tile) => tile.querySelector(".heart").getAttribute("aria-pressed") === "true";
const ratingOf = (tile) => Number(tile.querySelector(".stars").dataset.rating);

async function judge(tile, name, value, before, show) {
  show(tile, value);
  try {
    await post(`${tile.querySelector("a").pathname}judge/`, { [name]: Number(value) });
  } catch {
    show(tile, before);
  }
}

// A tile that is one of several selected ones stands for all of them.
const standsForMany = (tile) => {
  const tiles = selectedTiles();
  return tiles.length > 1 && tiles.includes(tile);
};
const button = (does) => document.querySelector(`#selection [data-does=${does}]`);

export function favourite(tile) {
  const on = !isFavourite(tile);
  if (standsForMany(tile)) return button(on ? "favourite" : "unfavourite").click();
  return judge(tile, "favourite", on, !on, showFavourite);
}

// The same rating again takes it away.
export function rate(tile, stars) {
  const before = ratingOf(tile);
  const rating = stars === before ? 0 : stars;
  if (standsForMany(tile)) return button(`rate][value="${rating}"`).click();
  judge(tile, "rating", rating, before, showRating);
  return showIn(tile);
}

// --- the tile under the pointer or in focus has the five stars --------------------------------------------------
const strip = document.querySelector("[data-rate]")?.content.firstElementChild;

function showIn(tile) {
  if (!strip || !tile) return strip?.remove();
  if (strip.parentElement !== tile) tile.append(strip);
  const rating = ratingOf(tile);
  [...strip.children].forEach((star, index) => star.setAttribute("aria-pressed", index + 1 === rating));
}

document.addEventListener("pointerover", ({ target, pointerType }) => {
  if (pointerType !== "touch") showIn(target.closest?.("#grid .tile"));
});
document.addEventListener("focusin", ({ target }) => {
  if (!strip?.contains(target)) showIn(target.closest("#grid .tile"));
});
document.addEventListener("click", ({ target }) => {
  const tile = target.closest("#grid .tile");
  if (tile && target.closest(".heart")) favourite(tile);
  if (tile && target.closest(".rate button")) rate(tile, Number(target.closest("button").value));
});
