// Every choice acts at once, in place: only the pictures, the facets and the address change.

htmx.config.refreshOnHistoryMiss = true; // "back" loads the page that its address describes

const form = document.getElementById("filters");
const found = document.getElementById("found");

document.addEventListener("change", ({ target }) => {
  if (target.form === form && target.id !== "search") form.requestSubmit();
});

// Empty fields stay out of the address.
document.addEventListener("htmx:configRequest", ({ detail }) => {
  if (detail.elt !== form) return;
  for (const name of new Set(detail.formData.keys())) {
    const values = detail.formData.getAll(name).map((value) => value.trim()).filter(Boolean);
    detail.formData.delete(name);
    values.forEach((value) => detail.formData.append(name, value));
  }
});

// A chip takes its value away where it is set; without a control of that value its link does.
document.addEventListener("click", (event) => {
  const chip = event.target.closest("[data-remove]");
  if (!chip || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const fields = [...form.elements].filter((field) => field.name === chip.dataset.remove);
  const set = fields.find((field) => field.value === chip.dataset.value && (field.checked || field.type === "hidden"));
  if (!set) return;
  event.preventDefault();
  if (set.type === "hidden") set.value = "";
  else if (set.type === "radio") fields.find((field) => !field.value).checked = true;
  else set.checked = false;
  form.requestSubmit();
});

document.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.target === found && scrollY > 0) scrollTo({ top: 0, behavior: "instant" });
});

// The menu of saved searches goes when one looks elsewhere.
document.addEventListener("click", ({ target }) => {
  const menu = document.querySelector(".saved-searches[open]");
  if (menu && !menu.contains(target)) menu.open = false;
});
document.addEventListener("keydown", ({ key, target }) => {
  const menu = key === "Escape" && target.closest(".saved-searches[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
