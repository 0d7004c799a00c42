// The Generate form: sliders, seed, sizes, and Ctrl/⌘-Enter. Without it the form still posts.

const MAX_RANDOM = 2 ** 32;
const form = () => document.getElementById("generate-form");

function slider(range) {
  return document.getElementById(range.dataset.slides);
}

function showCount() {
  const button = document.getElementById("generate-button");
  const count = Number(form().elements.num_images.value);
  const words = count === 1 ? button.dataset.one : button.dataset.many.replace("#", count);
  if (Number.isInteger(count) && count > 0) button.textContent = words;
}

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

function showSizes() {
  const { model_name: model, size, width, height } = form().elements;
  const side = Number(model.selectedOptions[0]?.dataset.resolution);
  if (!side) return;
  const ratios = { square: [1, 1], landscape: [1, 0.75], portrait: [0.75, 1] };
  for (const option of size.options) {
    const ratio = ratios[option.value];
    if (!ratio) continue;
    const [w, h] = ratio.map((part) => Math.floor((side * part) / 8) * 8);
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

function prepare() {
  for (const range of form().querySelectorAll("[data-slides]")) range.value = slider(range).value;
  showCount();
  showSeed();
  showSizes();
}

document.addEventListener("input", (event) => {
  const { target } = event;
  if (!target.closest?.("#generate-form")) return;
  if (target.name === "model_name") followGuidance();
  if (target.dataset.slides) slider(target).value = target.value;
  const range = form().querySelector(`[data-slides="${target.id}"]`);
  if (range) range.value = target.value;
  const field = target.closest(".field");
  field?.classList.remove("has-error");
  field?.querySelectorAll(".error").forEach((error) => error.remove());
  showCount();
  showSeed();
  showSizes();
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-seed-dice]")) setSeed(randomSeed());
  const lock = event.target.closest("[data-seed-lock]");
  if (lock) setSeed(lock.getAttribute("aria-pressed") === "true" ? "" : lastSeed());
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  form().requestSubmit();
});

// The service has taken it: what it complained about before is settled.
document.addEventListener("generated", () => {
  form().querySelectorAll(".error, .problem").forEach((error) => error.remove());
  form().querySelectorAll(".has-error").forEach((field) => field.classList.remove("has-error"));
});
document.addEventListener("htmx:afterSwap", (event) => {
  prepare();
  if (event.target.id === "generate-form") form().querySelector(".has-error :is(input, textarea, select)")?.focus();
});
prepare();

// Not on a touch screen, where it would raise the keyboard.
if (matchMedia("(hover: hover)").matches && !location.hash) form().elements.prompt.focus({ preventScroll: true });
if (navigator.platform.startsWith("Mac")) form().querySelector(".keys-hint kbd").textContent = "⌘";
