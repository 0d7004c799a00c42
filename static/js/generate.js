// The Generate form: sliders, seed, sizes, the button's number, Ctrl/⌘-Enter, and a picture that is dropped or pasted.
// Without it the form still posts.

import "./draft.js";
import "./models.js";
import "./suggestions.js";
import { say } from "./news.js";
import { toast } from "./toasts.js";

const MAX_RANDOM = 2 ** 32;
const form = () => document.getElementById("generate-form");

// --- numbers ----------------------------------------------------------------------------------------------------
const numberOf = (range) => document.getElementById(range.dataset.slides);
const expert = () => localStorage.getItem("expert") === "1";

// The everyday range, unless somebody wants more or the value lies outside of it.
function showRange(range) {
  const { value } = numberOf(range);
  const [low, high] = range.dataset.everyday.split(" ").map(Number);
  const outside = value !== "" && (Number(value) < low || Number(value) > high);
  [range.min, range.max] = (expert() || outside ? range.dataset.all : range.dataset.everyday).split(" ");
  range.value = value;
}

function showExpert() {
  for (const box of form().querySelectorAll("[data-expert]")) box.checked = expert();
  form().querySelectorAll("[data-slides]").forEach(showRange);
}

function showCount() {
  const button = document.getElementById("generate-button");
  const images = Number(form().elements.num_images.value);
  const count = images * Number(document.getElementById("prompt-check").dataset.prompts);
  const words = count === 1 ? button.dataset.one : button.dataset.many.replace("#", count);
  if (Number.isInteger(count) && count > 0) button.textContent = words;
}

// --- seed -------------------------------------------------------------------------------------------------------
function showSeed() {
  const lock = form().querySelector("[data-seed-lock]");
  lock.setAttribute("aria-pressed", form().elements.seed.value.trim() !== "");
}

function setSeed(value) {
  form().elements.seed.value = value;
  showSeed();
}

const randomSeed = () => String(Math.floor(Math.random() * MAX_RANDOM));
const lastSeed = () => document.querySelector(".generation")?.dataset.seed ?? randomSeed();

// --- what follows the model -------------------------------------------------------------------------------------
const RATIOS = { square: [1, 1], landscape: [1, 3 / 4], portrait: [3 / 4, 1], wide: [1, 2 / 3], tall: [2 / 3, 1] };

function showSizes() {
  const { model_name: model, size, width, height } = form().elements;
  const side = Number(model.selectedOptions[0]?.dataset.resolution);
  if (!side) return;
  for (const option of size.options) {
    const ratio = RATIOS[option.value];
    if (!ratio) continue;
    const [w, h] = ratio.map((part) => Math.floor(Math.trunc(side * part) / 8) * 8);
    option.textContent = option.textContent.replace(/\d+ × \d+/, `${w} × ${h}`);
  }
  for (const field of [width, height]) if (!field.value) field.placeholder = side;
}

function followGuidance() {
  const { model_name: model, guidance_scale: guidance } = form().elements;
  const own = model.selectedOptions[0]?.dataset.guidance;
  if (!own) return;
  guidance.value = own;
  guidance.dispatchEvent(new Event("input", { bubbles: true }));
}

// --- the form lives ---------------------------------------------------------------------------------------------
function prepare() {
  showExpert();
  showCount();
  showSeed();
  showSizes();
}

document.addEventListener("input", (event) => {
  const { target } = event;
  if (!target.closest?.("#generate-form")) return;
  if (target.name === "model_name") followGuidance();
  if (target.dataset.slides) numberOf(target).value = target.value;
  if (target.dataset.slides === "id_num_images") numberOf(target).dispatchEvent(new Event("input", { bubbles: true }));
  const range = form().querySelector(`[data-slides="${target.id}"]`);
  if (range) showRange(range);
  if (target.matches("[data-expert]")) {
    localStorage.setItem("expert", target.checked ? "1" : "0");
    showExpert();
  }
  const field = target.closest(".field");
  field?.classList.remove("has-error");
  field?.querySelectorAll(":scope > .error").forEach((error) => error.remove());
  showCount();
  showSeed();
  showSizes();
});

document.addEventListener("click", (event) => {
  const { target } = event;
  if (target.closest("[data-seed-dice]")) setSeed(randomSeed());
  const lock = target.closest("[data-seed-lock]");
  if (lock) setSeed(lock.getAttribute("aria-pressed") === "true" ? "" : lastSeed());
  const presets = document.getElementById("presets");
  if (presets.open && !presets.contains(target)) presets.open = false;
  if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a link for a new tab
  const seed = target.closest("[data-seed-of]");
  if (seed) setSeed(seed.dataset.seedOf);
  const fills = target.closest("[data-fills]");
  if (fills) fill(new URL(fills.href).search);
  const idea = target.closest("[data-idea]");
  if (idea) setPrompt(idea.textContent);
  if (seed || fills || idea) event.preventDefault();
  if ((seed || fills || idea) && isNarrow()) form().scrollIntoView();
});

const isNarrow = () => matchMedia("(width < 860px)").matches;

function setPrompt(words) {
  const { prompt } = form().elements;
  prompt.value = words;
  prompt.dispatchEvent(new Event("input", { bubbles: true }));
  prompt.focus();
}

// The settings of a picture, without losing the results; the address says what the form was filled from.
async function fill(query) {
  await htmx.ajax("GET", form().dataset.fill + query, { target: "#generate-form", swap: "outerHTML" });
  history.replaceState(history.state, "", location.pathname + query);
  say(form().dataset.filled);
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && document.getElementById("presets").open) {
    document.getElementById("presets").open = false;
    document.querySelector("#presets summary").focus();
  }
  if (event.key !== "Enter") return;
  if (event.ctrlKey || event.metaKey) {
    if (document.querySelector("dialog[open]")) return;
    event.preventDefault();
    form().requestSubmit(document.getElementById("generate-button"));
  } else if (event.target.dataset?.enter) {
    event.preventDefault();
    document.getElementById(event.target.dataset.enter).click();
  }
});

// A question that is on its way does not know of the cards that come now.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.requestConfig.elt.id === "generate-form") htmx.trigger("#watch", "htmx:abort");
});

// The service has taken it: what it complained about before is settled, and other tabs want to see it.
const tabs = new BroadcastChannel("generate");
tabs.addEventListener("message", () => document.body.dispatchEvent(new CustomEvent("jobs-changed")));
document.addEventListener("generated", () => {
  form().querySelectorAll(".error, .problem, .note").forEach((error) => error.remove());
  form().querySelectorAll(".has-error").forEach((field) => field.classList.remove("has-error"));
  if (isNarrow()) document.querySelector(".studio-results").scrollIntoView();
  tabs.postMessage("generated");
});

document.addEventListener("htmx:afterSwap", ({ target }) => {
  prepare();
  if (target.id === "generate-form") form().querySelector(".has-error :is(input, textarea, select)")?.focus();
});

// --- favourites: at once, and back where the server says no -----------------------------------------------------
document.addEventListener("submit", async (event) => {
  if (!event.target.matches("[data-judges]")) return;
  event.preventDefault();
  const button = event.target.querySelector("button");
  const show = (on) => {
    button.setAttribute("aria-pressed", on);
    button.value = on ? 0 : 1;
  };
  const favourite = button.value === "1";
  const body = new URLSearchParams({ favourite: button.value });
  const headers = { "X-CSRFToken": document.querySelector("meta[name=csrf-token]").content, Accept: "application/json" };
  show(favourite);
  const response = await fetch(event.target.action, { method: "POST", body, headers }).catch(() => null);
  if (response?.ok && !response.redirected) return;
  show(!favourite);
  toast(document.getElementById("toasts").dataset.refused);
});

// --- a reference picture, dropped or pasted ---------------------------------------------------------------------
function takePicture(files) {
  const picture = [...files].find((file) => file.type.startsWith("image/"));
  if (!picture) return false;
  const carrier = new DataTransfer();
  carrier.items.add(picture);
  const input = form().elements.reference_file;
  document.getElementById("reference").open = true;
  input.files = carrier.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
  return true;
}

document.addEventListener("paste", (event) => {
  if (takePicture(event.clipboardData.files)) event.preventDefault();
});
const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
document.addEventListener("dragover", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  document.getElementById("reference").open = true;
  form().classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) form().classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  form().classList.remove("dragging");
  if (holdsFiles(event)) event.preventDefault(), takePicture(event.dataTransfer.files);
});

// --- pictures arrive in the places that were kept for them ------------------------------------------------------
const here = new Set([...document.querySelectorAll(".tile.made")].map((tile) => tile.id));
document.addEventListener("htmx:afterSettle", () => {
  for (const tile of document.querySelectorAll(".tile.made")) {
    if (!here.has(tile.id)) tile.classList.add("arrives");
    here.add(tile.id);
  }
});
document.addEventListener("animationend", ({ target }) => target.closest(".arrives")?.classList.remove("arrives"));

prepare();
// Not on a touch screen, where it would raise the keyboard, and not away from where somebody is already.
const nowhere = document.activeElement === document.body || document.activeElement === null;
if (nowhere && matchMedia("(hover: hover)").matches && !location.hash) form().elements.prompt.focus({ preventScroll: true });
if (navigator.platform.startsWith("Mac")) form().querySelector(".keys-hint kbd").textContent = "⌘";
