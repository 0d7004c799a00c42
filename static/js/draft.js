// The form as it was left, for as long as the tab is open: it outlives a reload, a look at the gallery, and a session
// that has ended. An address that fills the form itself goes before.

const SKIPPED = ["csrfmiddlewaretoken", "start", "preset_name"];
const form = () => document.getElementById("generate-form");
const key = () => `draft:${form().dataset.owner}`; // nobody else who signs in here gets it

const filled = () =>
  Object.fromEntries([...new FormData(form())].filter(([name, value]) => typeof value === "string" && !SKIPPED.includes(name)));

function keep() {
  sessionStorage.setItem(key(), JSON.stringify(filled()));
}

document.addEventListener("input", ({ target }) => target.form === form() && keep());
document.addEventListener("htmx:afterSettle", ({ target }) => ["generate-form", "reference"].includes(target.id) && keep());
document.addEventListener("click", ({ target }) => target.closest("[data-reset]") && sessionStorage.removeItem(key()));

// Whoever has begun to type before the old form has come back means what they type.
let touched = false, bringingBack = false;
document.addEventListener("input", ({ target }) => { touched ||= target.form === form(); });
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.pathInfo.requestPath !== form().dataset.fill) return;
  if (bringingBack && touched) detail.shouldSwap = false;
  bringingBack = false;
});

const draft = sessionStorage.getItem(key());
if (draft && !location.search && draft !== JSON.stringify(filled())) {
  bringingBack = true;
  window.htmx.ajax("POST", form().dataset.fill, { values: JSON.parse(draft), target: "#generate-form", swap: "outerHTML" });
}
