// The picker of models and LoRAs over their selects: search, ↑ ↓, Enter. Rows of LoRAs come and go.

import { Listbox } from "./listbox.js";

const dialog = document.getElementById("models");
const search = document.getElementById("models-search");
const list = document.getElementById("models-list");
const fieldName = document.getElementById("models-field");
const form = () => document.getElementById("generate-form");
const select = () => form().elements[fieldName.value];

const box = new Listbox(search, list, choose, (option, on) => option.classList.toggle("active", on));

function choose(option) {
  setValue(select(), option.dataset.name);
  dialog.close();
}

function setValue(field, value) {
  field.value = value;
  for (const kind of ["input", "change"]) field.dispatchEvent(new Event(kind, { bubbles: true }));
}

function open(name) {
  const title = document.getElementById("models-title");
  title.textContent = name === "model_name" ? title.dataset.model : title.dataset.lora;
  fieldName.value = name;
  search.value = "";
  list.replaceChildren();
  dialog.showModal();
  search.focus();
  search.dispatchEvent(new Event("open"));
}

// The newest list, with the chosen one marked and in sight.
list.addEventListener("htmx:afterSwap", () => {
  box.activate(null);
  const chosen = box.options.find((option) => option.dataset.name === select().value);
  chosen?.setAttribute("aria-selected", "true");
  box.activate(search.value ? box.options[0] : chosen);
});

search.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") box.move(event.key === "ArrowDown" ? 1 : -1);
  else if (event.key === "Enter" && box.active) choose(box.active);
  else return;
  event.preventDefault();
});

dialog.addEventListener("close", () => {
  const row = select()?.closest("[data-lora]");
  if (row && !select().value) delete row.dataset.used; // opened for a new row, and nothing was chosen
  document.getElementById(`pick-${fieldName.value}`)?.focus();
});

document.addEventListener("click", ({ target }) => {
  const pick = target.closest("[data-pick]");
  if (pick) open(pick.dataset.pick);
  if (target === dialog || target.closest("#models [data-close]")) dialog.close();
  if (target.closest("[data-add-lora]")) addLora();
  const removes = target.closest("[data-remove-lora]");
  if (removes) removeLora(removes.closest("[data-lora]"));
  const words = target.closest("[data-add-words]");
  if (words) addWords(words.dataset.addWords);
});

function addLora() {
  const row = form().querySelector("[data-lora]:not([data-used])");
  row.dataset.used = "";
  row.querySelector("input").value = 1;
  open(row.querySelector("select").name);
}

function removeLora(row) {
  setValue(row.querySelector("select"), "");
  delete row.dataset.used;
  form().querySelector("[data-add-lora]").focus();
}

// In front, where a model hears them best; once.
function addWords(words) {
  const { prompt } = form().elements;
  if (!prompt.value.toLowerCase().includes(words.toLowerCase())) {
    prompt.value = prompt.value.trim() ? `${words}, ${prompt.value}` : words;
    prompt.dispatchEvent(new Event("input", { bubbles: true }));
  }
  prompt.focus();
}
