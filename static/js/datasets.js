// The pages of a dataset: ticking photos, and undoing with the keyboard.

const form = () => document.querySelector("[data-ticks]");
const boxes = () => [...form().querySelectorAll("input[data-tick]")];
let anchor = null;

function show() {
  const said = form()?.querySelector("[data-ticked]");
  if (!said) return;
  const number = boxes().filter((box) => box.checked).length;
  said.textContent = number ? said.dataset.words.replace("#", number.toLocaleString(document.documentElement.lang)) : "";
}

document.addEventListener("click", (event) => {
  const box = event.target.closest("[data-ticks] input[data-tick]");
  if (!box) return;
  const there = boxes();
  if (event.shiftKey && anchor) {
    const [first, last] = [there.indexOf(anchor), there.indexOf(box)].sort((a, b) => a - b);
    for (const other of there.slice(first, last + 1)) other.checked = box.checked;
  }
  anchor = box;
  show();
});
document.addEventListener("change", ({ target }) => {
  if (!target.matches("[data-tick-all]")) return;
  for (const box of boxes()) box.checked = target.checked;
  show();
});

// Ctrl+Z in a text field is the field's own.
document.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
  if (event.target.closest("input:not([type=checkbox]), textarea, [contenteditable]")) return;
  const undo = document.querySelector(event.shiftKey ? "[data-redo-form]" : "[data-undo-form]");
  if (!undo || undo.querySelector("button").disabled) return;
  event.preventDefault();
  undo.requestSubmit();
});

// When the photos have come in, the page has them.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (!event.detail.target?.matches?.("[data-live-import]")) return;
  if (!event.detail.serverResponse.includes("data-live-import")) {
    event.detail.shouldSwap = false;
    location.reload();
  }
});

addEventListener("pageshow", show);
