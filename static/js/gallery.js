// Selection and filters of the gallery. Without it the checkboxes and the filter form still post.

import { isTyping } from "./app.js";

const selection = document.getElementById("selection");
const ticked = () => selection.querySelectorAll("input[name=image]:checked");
let anchor = null;

function showCount() {
  const words = selection.querySelector("[data-selected]");
  words.textContent = words.dataset.selected.replace("#", ticked().length);
}

if (selection) {
  selection.addEventListener("change", showCount);
  selection.addEventListener("reset", () => setTimeout(showCount));
  // Shift takes everything between the last tick and this one.
  selection.addEventListener("click", (event) => {
    const box = event.target;
    if (box.name !== "image") return;
    const boxes = [...selection.querySelectorAll("input[name=image]")];
    if (event.shiftKey && anchor) {
      const [from, to] = [boxes.indexOf(anchor), boxes.indexOf(box)].sort((a, b) => a - b);
      for (const other of boxes.slice(from, to + 1)) other.checked = box.checked;
    }
    anchor = box;
    showCount();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const box = event.target.closest?.(".tile")?.querySelector("input[name=image]");
    if (event.key === "x" && box) {
      box.checked = !box.checked;
      showCount();
    }
    if (event.key === "Escape" && ticked().length) selection.reset();
  });
  showCount();
}

const filters = document.querySelector("[data-filters]");
filters?.elements.model.addEventListener("change", () => filters.requestSubmit());
// Empty fields stay out of the address.
filters?.addEventListener("formdata", ({ formData }) => {
  for (const [name, value] of [...formData]) if (!value) formData.delete(name);
});
