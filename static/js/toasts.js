// Short messages at the foot of the page. Whatever is appended to #toasts, by a script or by htmx out of band, gets a
// button to close it and goes by itself, unless it has `data-stay`. Its time stands still while nobody looks at the
// page, and while the pointer or the focus is on it. `data-ended` marks the end of a job: it also marks the title of a
// page that nobody looks at.

const SECONDS = 8;
const UNDO_SECONDS = 12;
const box = document.getElementById("toasts");
const title = document.title;
let unseen = 0;

export function toast(words, undo = null) {
  if (!box || !words || [...box.children].some((item) => item.dataset.words === words)) return;
  const item = document.createElement("div");
  item.className = "toast";
  item.dataset.words = words;
  item.append(Object.assign(document.createElement("p"), { textContent: words }));
  if (undo) {
    item.dataset.seconds = UNDO_SECONDS;
    item.append(undoButton(undo, item));
  }
  box.append(item);
}

// What a server says it can take back: where to post what.
function undoButton({ url, fields }, item) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "toast-undo" });
  button.textContent = box.dataset.undo;
  button.addEventListener("click", () => {
    item.remove();
    window.htmx.ajax("POST", url, { values: fields, swap: "none", source: box });
  });
  return button;
}

function prepare(item) {
  const close = document.createElement("button");
  close.type = "button";
  close.className = "toast-close";
  close.setAttribute("aria-label", box.dataset.close);
  close.addEventListener("click", () => item.remove());
  item.append(close);
  if (item.hasAttribute("data-ended") && document.hidden) {
    unseen += 1;
    document.title = `(${unseen}) ${title}`;
  }
}

const isHeld = (item) => item.matches(":hover, :focus-within");

function age() {
  if (document.hidden) return;
  for (const item of box.querySelectorAll(".toast:not([data-stay])")) {
    if (isHeld(item)) continue;
    item.seconds = (item.seconds ?? 0) + 1;
    if (item.seconds >= Number(item.dataset.seconds ?? SECONDS)) item.remove();
  }
}

if (box) {
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) for (const item of addedNodes) if (item.matches?.(".toast")) prepare(item);
  }).observe(box, { childList: true });
  setInterval(age, 1000);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    unseen = 0;
    document.title = title;
  });
}
