// A run's page: readouts under the pointer, pictures in large, and what its buttons answer. The new-run form follows
// its base model. Without this file the pages still show everything, and every form still posts.

import { toast } from "./app.js";

document.addEventListener("run-said", ({ detail }) => toast(detail.value));

// --- curves -----------------------------------------------------------------------------------------------------
// Values are read back from the drawing itself: a path lies in a box of 100 × 100, its figure tells the box's edges.
const places = new WeakMap();
let pointer = null;

function pointsOf(path) {
  if (!places.has(path)) {
    const pairs = path.getAttribute("d").slice(1).split("L");
    places.set(path, pairs.map((pair) => pair.split(" ").map(Number)));
  }
  return places.get(path);
}

const nearest = (points, x) =>
  points.reduce((best, point) => (Math.abs(point[0] - x) < Math.abs(best[0] - x) ? point : best));
function inWords(value) {
  const short = Number(value.toPrecision(Math.abs(value) < 1e-3 ? 3 : 4));
  return Math.abs(short) < 1e-4 ? String(short) : short.toLocaleString(document.documentElement.lang, { maximumFractionDigits: 20 });
}

function readAt(chart, step) {
  const [xLow, xHigh, yLow, yHigh] = chart.dataset.chart.split(" ").map(Number);
  const lines = [...chart.querySelectorAll("path.line")];
  const outputs = chart.querySelectorAll(".legend output");
  const x = (100 * (step - xLow)) / (xHigh - xLow);
  if (!lines.length || x < 0 || x > 100) return clear(chart);
  const found = lines.map((path) => nearest(pointsOf(path), x));
  const here = nearest(found, x);
  found.forEach(([, y], index) => {
    outputs[index].dataset.last ??= outputs[index].textContent;
    outputs[index].textContent = inWords(yLow + ((100 - y) / 100) * (yHigh - yLow));
  });
  const cursor = chart.querySelector(".cursor");
  cursor.setAttribute("x1", `${here[0]}%`);
  cursor.setAttribute("x2", `${here[0]}%`);
  cursor.setAttribute("visibility", "visible");
  const words = chart.querySelector("[data-step]");
  words.textContent = words.dataset.step.replace("#", Math.round(xLow + (here[0] / 100) * (xHigh - xLow)));
}

function clear(chart) {
  chart.querySelector(".cursor").setAttribute("visibility", "hidden");
  chart.querySelector("[data-step]").textContent = "";
  for (const output of chart.querySelectorAll("output[data-last]")) output.textContent = output.dataset.last;
}

const charts = () => document.querySelectorAll("[data-chart]");

document.addEventListener("pointermove", ({ target, clientX }) => {
  const plot = target.closest?.(".plot-box")?.querySelector(".plot");
  if (!plot) {
    if (pointer !== null) charts().forEach(clear);
    pointer = null;
    return;
  }
  const [low, high] = plot.closest("[data-chart]").dataset.chart.split(" ").map(Number);
  const box = plot.getBoundingClientRect();
  pointer = low + ((clientX - box.left) / box.width) * (high - low);
  charts().forEach((chart) => readAt(chart, pointer));
});

// --- pictures across time ---------------------------------------------------------------------------------------
const strip = () => document.getElementById("run-strip");
const atEnd = (box) => box.scrollLeft + box.clientWidth >= box.scrollWidth - 4;
let followsStrip = true;

document.addEventListener("htmx:oobBeforeSwap", ({ target }) => {
  if (target === strip()) followsStrip = atEnd(target);
});
document.addEventListener("htmx:afterSwap", () => {
  if (pointer !== null) charts().forEach((chart) => readAt(chart, pointer));
  if (followsStrip) strip()?.scrollTo({ left: strip().scrollWidth });
});
strip()?.scrollTo({ left: strip().scrollWidth });

const lightbox = document.getElementById("lightbox");
let shown = "";

function enlarge(link) {
  shown = link.id;
  const picture = lightbox.querySelector("img");
  picture.src = link.href;
  picture.alt = link.querySelector("img").alt;
  lightbox.querySelector("[data-about]").textContent = link.dataset.about;
  lightbox.querySelector("[data-prompt]").textContent = link.dataset.prompt;
  lightbox.querySelector("[data-file]").href = `${link.href}&download`;
  if (!lightbox.open) lightbox.showModal();
}

// ← → along the steps, ↑ ↓ along the prompts.
const MOVES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

function beside(id, [down, right]) {
  const rows = [...document.querySelectorAll("tr:has([data-large])")];
  const cell = document.getElementById(id)?.closest("td");
  if (!cell) return null;
  const row = rows[rows.indexOf(cell.parentElement) + down];
  return row?.cells[cell.cellIndex + right]?.querySelector("[data-large]");
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-large]");
  if (link && lightbox && !(event.ctrlKey || event.metaKey || event.shiftKey)) {
    event.preventDefault();
    enlarge(link);
  }
  if (event.target === lightbox) lightbox.close();
});
lightbox?.addEventListener("keydown", (event) => {
  if (!(event.key in MOVES)) return;
  event.preventDefault();
  const link = beside(shown, MOVES[event.key]);
  if (link) enlarge(link);
});

// --- forms ------------------------------------------------------------------------------------------------------
document.addEventListener("change", ({ target }) => {
  if (target.matches("#new-run [name=base_model]")) followBase(target);
});

// A preset means other settings on another base; settings of one's own keep all but what suits the base.
function followBase(select) {
  const preset = document.querySelector(".preset[aria-pressed=true]");
  if (preset) return preset.click();
  for (const [name, value] of Object.entries(select.selectedOptions[0].dataset)) {
    select.form.elements[name].value = value;
  }
  select.dispatchEvent(new Event("input", { bubbles: true }));
}
document.querySelector("#new-run .has-error :is(input, textarea, select)")?.focus();
