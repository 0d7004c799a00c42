// Three sizes of tiles, kept in this browser; js/tile-size.js sets the chosen one before the first paint.

const SIZES = ["small", "medium", "large"];
const sliders = document.querySelectorAll("[data-tile-size]");

function show(size) {
  for (const slider of sliders) {
    slider.value = SIZES.indexOf(size);
    slider.setAttribute("aria-valuetext", slider.dataset.tileSize.split("|")[slider.value]);
  }
}

// The tile in the middle of the window stays there.
function choose(size) {
  const seen = document.elementFromPoint(innerWidth / 2, innerHeight / 2)?.closest(".tile");
  localStorage.setItem("tiles", size);
  document.documentElement.dataset.tiles = size;
  show(size);
  if (scrollY > 0) seen?.scrollIntoView({ block: "center", behavior: "instant" });
}

for (const slider of sliders) slider.addEventListener("input", () => choose(SIZES[slider.value]));
show(document.documentElement.dataset.tiles ?? "medium");
