// The search box offers what the term under the caret could become: an ARIA combobox with a listbox.

const box = document.getElementById("search");
const list = document.getElementById("completions");
let asked = null;
let wait = 0;

const active = () => list.querySelector("[aria-selected=true]");

function show(on) {
  list.hidden = !on;
  box.setAttribute("aria-expanded", on);
  if (!on) box.removeAttribute("aria-activedescendant");
}

function close() {
  clearTimeout(wait);
  asked?.abort();
  show(false);
}

function mark(option) {
  active()?.setAttribute("aria-selected", "false");
  option?.setAttribute("aria-selected", "true");
  option?.scrollIntoView({ block: "nearest" });
  if (option) box.setAttribute("aria-activedescendant", option.id);
  else box.removeAttribute("aria-activedescendant");
}

async function ask() {
  asked?.abort();
  asked = new AbortController();
  const about = new URLSearchParams({ q: box.value, caret: box.selectionStart });
  try {
    const reply = await fetch(`${box.dataset.complete}?${about}`, { signal: asked.signal });
    if (!reply.ok || reply.redirected) return;
    list.innerHTML = await reply.text();
  } catch {
    return; // overtaken by a later question, or offline: the box works without
  }
  if (document.activeElement === box) show(list.children.length > 0);
}

function askSoon() {
  clearTimeout(wait);
  wait = setTimeout(ask, 120);
}

// A key goes on to its values; a finished term is followed by a blank.
function take({ dataset: { text, start, end } }) {
  const goesOn = text.endsWith(":");
  const before = box.value.slice(0, start) + text + (goesOn ? "" : " ");
  box.value = before + box.value.slice(end).trimStart();
  box.setSelectionRange(before.length, before.length);
  if (goesOn) ask();
  else close();
}

// Past either end nothing is marked, so that Enter searches for what was typed.
function step(by) {
  const options = [...list.children];
  const at = options.indexOf(active());
  const next = at === -1 ? (by > 0 ? 0 : options.length - 1) : at + by;
  mark(options[next]);
}

const KEYS = {
  ArrowDown: () => (list.hidden ? ask() : step(1)),
  ArrowUp: () => step(-1),
  Enter: () => take(active()),
  Escape: close,
};
const means = {
  ArrowDown: () => true,
  ArrowUp: () => !list.hidden,
  Enter: () => !list.hidden && active(),
  Escape: () => !list.hidden,
};

box.addEventListener("keydown", (event) => {
  if (event.isComposing || !means[event.key]?.()) return;
  event.preventDefault();
  KEYS[event.key]();
});
box.addEventListener("input", askSoon);
box.addEventListener("click", askSoon);
box.addEventListener("blur", close);
box.form.addEventListener("submit", close);
box.addEventListener("search", () => box.value || box.form.requestSubmit()); // the cross at its end

list.addEventListener("pointerdown", (event) => event.preventDefault()); // the focus stays in the box
list.addEventListener("click", ({ target }) => {
  const option = target.closest("[role=option]");
  if (option) take(option);
});
