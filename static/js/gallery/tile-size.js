// Three sizes of tiles, kept in this browser; js/tile-size.js sets the chosen one before the first paint.

const SIZES = ["small", "medium", "large"];
const slider = document.querySelector("[data-tile-size]");

function showSize(size) {
  slider.value = SIZES.indexOf(size);
  slider.setAttribute("aria-valuetext", slider.dataset.words.split("|")[slider.value]);
}

slider?.addEventListener("input", () => {
  const size = SIZES[slider.value];
  const seen = document.elementFromPoint(innerWidth / 2, innerHeight / 2)?.closest(".tile");
  localStorage.setItem("tiles", size);
  document.documentElement.dataset.tiles = size;
  showSize(size);
  if (scrollY > 0) seen?.scrollIntoView({ block: "center", behavior: "instant" });
});
if (slider) showSize(document.documentElement.dataset.tiles ?? "medium");
