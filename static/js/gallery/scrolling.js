// Pages come as one scrolls. The address names the page on screen, and coming back leads to the same place.

const AHEAD = "1500px";
const grid = () => document.getElementById("grid");
const headHeight = () => document.querySelector(".toolbar")?.offsetHeight ?? 0;

// --- the next page, before one gets there -----------------------------------------------------------------------
const near = new IntersectionObserver(
  (entries) => entries.filter((entry) => entry.isIntersecting).forEach(({ target }) => htmx.trigger(target, "near")),
  { rootMargin: AHEAD },
);

function watch() {
  near.disconnect();
  document.querySelectorAll("[data-more]").forEach((link) => near.observe(link));
}

// --- what came before, without moving what one looks at ---------------------------------------------------------
let kept = null;
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const tile = detail.requestConfig.elt.matches("[data-newer]") && detail.target.nextElementSibling;
  kept = tile && { tile, top: tile.getBoundingClientRect().top };
});
document.addEventListener("htmx:afterSwap", () => {
  watch();
  if (kept) scrollBy({ top: kept.tile.getBoundingClientRect().top - kept.top, behavior: "instant" });
  kept = null;
});

// --- the address ------------------------------------------------------------------------------------------------
// The first tile of each page knows the picture that its page begins after.
function cursorOnScreen() {
  const line = headHeight() + innerHeight / 4;
  const begun = [...grid().querySelectorAll("[data-page]")];
  return begun.findLast((tile) => tile.getBoundingClientRect().top < line)?.dataset.page ?? begun[0]?.dataset.page;
}

function tileOnTop() {
  const box = grid().getBoundingClientRect();
  return document.elementFromPoint(box.left + 16, Math.max(box.top, headHeight()) + 24)?.closest(".tile");
}

function remember() {
  if (!grid()) return;
  const address = new URL(location.href);
  const cursor = cursorOnScreen();
  address.searchParams.delete("before");
  address.searchParams.delete("cursor");
  if (cursor) address.searchParams.set("cursor", cursor);
  address.hash = "";
  if (address.href !== location.href) history.replaceState(history.state, "", address);
  const tile = tileOnTop();
  const place = { address: location.href, tile: tile?.id, top: tile?.getBoundingClientRect().top };
  sessionStorage.setItem("place", JSON.stringify(scrollY > 0 ? place : {}));
}

let pause = 0;
addEventListener("scroll", () => {
  clearTimeout(pause);
  pause = setTimeout(remember, 150);
}, { passive: true });
addEventListener("pagehide", remember);

// --- and back ---------------------------------------------------------------------------------------------------
// The tile that was looked at when the address was left, or the one that the address names.
function comeBack() {
  const place = JSON.parse(sessionStorage.getItem("place") ?? "{}");
  const tile = place.address === location.href && document.getElementById(place.tile);
  const named = location.hash.startsWith("#i-") && document.querySelector(location.hash);
  if (tile) scrollBy({ top: tile.getBoundingClientRect().top - place.top, behavior: "instant" });
  if (!named) return;
  named.scrollIntoView({ block: "center", behavior: "instant" });
  named.querySelector("a").focus({ preventScroll: true });
}

history.scrollRestoration = "manual"; // the browser knows a number of pixels, which means another place by now
comeBack();
watch();
