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
document.addEventListener("htmx:afterSettle", watch); // not before htmx listens to the link

// --- what came before, without moving what one looks at ---------------------------------------------------------
let kept = null;
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const tile = detail.requestConfig.elt.matches("[data-newer]") && detail.target.nextElementSibling;
  kept = tile && { tile, top: tile.getBoundingClientRect().top };
});
document.addEventListener("htmx:afterSwap", () => {
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

// Whoever leaves comes back to a tile, so its own page counts: it may have begun above the screen.
function cursorOf(tile) {
  const before = (first) => first === tile || first.compareDocumentPosition(tile) & Node.DOCUMENT_POSITION_FOLLOWING;
  return [...grid().querySelectorAll("[data-page]")].findLast(before)?.dataset.page;
}

// The one in focus, if it is on screen, since that is what was opened; else the first one.
function tileOnScreen() {
  const inFocus = document.activeElement.closest("#grid .tile");
  const { top = -1 } = inFocus?.getBoundingClientRect() ?? {};
  if (top >= 0 && top < innerHeight) return inFocus;
  const box = grid().getBoundingClientRect();
  return document.elementFromPoint(box.left + 16, Math.max(box.top, headHeight()) + 24)?.closest(".tile");
}

function remember({ type } = {}) {
  if (!grid()) return;
  const address = new URL(location.href);
  const tile = tileOnScreen();
  const cursor = type === "pagehide" && tile ? cursorOf(tile) : cursorOnScreen();
  address.searchParams.delete("before");
  address.searchParams.delete("cursor");
  if (cursor) address.searchParams.set("cursor", cursor);
  address.hash = "";
  if (address.href !== location.href) history.replaceState(history.state, "", address);
  const place = { address: location.href, tile: tile?.id, top: tile?.getBoundingClientRect().top };
  sessionStorage.setItem("place", JSON.stringify(place));
}

let pause = 0;
addEventListener("scroll", () => {
  clearTimeout(pause);
  pause = setTimeout(() => remember(), 150);
}, { passive: true });
addEventListener("pagehide", remember);
// The picture's page notes what is seen there; whoever comes back before it could has seen what was opened.
document.addEventListener("click", (event) => {
  const tile = event.target.closest("#grid .picture")?.closest(".tile");
  if (tile && !event.defaultPrevented && !event.ctrlKey && !event.metaKey) sessionStorage.setItem("seen", tile.id.slice(2));
});

// --- and back ---------------------------------------------------------------------------------------------------
// To the place that was left, and there to the picture that was seen last, or to the one that the address names.
function comeBack() {
  const isNew = performance.getEntriesByType("navigation")[0].type === "navigate";
  const place = JSON.parse(sessionStorage.getItem("place") ?? "{}");
  const left = !isNew && place.address === location.href && document.getElementById(place.tile);
  if (left) scrollBy({ top: left.getBoundingClientRect().top - place.top, behavior: "instant" });
  const seen = left && document.getElementById(`i-${sessionStorage.getItem("seen")}`);
  sessionStorage.removeItem("seen");
  const named = seen || (location.hash.startsWith("#i-") && document.querySelector(location.hash));
  if (!named) return;
  if (named !== left) named.scrollIntoView({ block: "center", behavior: "instant" });
  named.querySelector("a").focus({ preventScroll: true });
}

history.scrollRestoration = "manual"; // the browser knows a number of pixels, which means another place by now
comeBack();
watch();
