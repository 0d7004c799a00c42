// What every page needs: requests, theme, times, tray, keys.

const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content;

// --- requests -----------------------------------------------------------------------------------
document.addEventListener("htmx:configRequest", ({ detail }) => {
  if (detail.verb !== "get") detail.headers["X-CSRFToken"] = meta("csrf-token");
});

// Polling rests while nobody looks, and catches up at once.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden && event.target.hasAttribute?.("data-polls")) event.preventDefault();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) document.body.dispatchEvent(new CustomEvent("jobs-changed"));
});

// A session that has ended answers with the sign-in page; show that page, not a fragment of it.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr } = event.detail;
  if (xhr.responseURL && new URL(xhr.responseURL).pathname === meta("login-url")) {
    event.detail.shouldSwap = false;
    location.reload();
  }
});

const toasts = document.getElementById("toasts");
export function toast(words, undo = null) {
  if (!toasts || [...toasts.children].some((item) => item.textContent === words)) return;
  const item = document.createElement("p");
  item.textContent = words;
  if (undo) item.append(undoButton(undo, item));
  toasts.append(item);
  setTimeout(() => item.remove(), undo ? 12000 : 6000);
}

// What a server says it can take back: where to post what.
function undoButton({ url, fields }, item) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = toasts.dataset.undo;
  button.addEventListener("click", () => {
    item.remove();
    window.htmx.ajax("POST", url, { values: fields, swap: "none", source: toasts });
  });
  return button;
}
for (const name of ["pictures-changed", "toast"]) {
  document.addEventListener(name, ({ detail }) => detail?.words && toast(detail.words, detail.undo));
}
document.addEventListener("htmx:sendError", () => toast(toasts?.dataset.offline));
document.addEventListener("htmx:responseError", () => toast(toasts?.dataset.refused));

// --- theme --------------------------------------------------------------------------------------
const THEMES = ["system", "light", "dark"];
const theme = () => localStorage.getItem("theme") ?? "system";

function setTheme(name) {
  if (name === "system") {
    localStorage.removeItem("theme");
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem("theme", name);
    document.documentElement.dataset.theme = name;
  }
  showTheme();
}

function showTheme() {
  for (const button of document.querySelectorAll("[data-theme-cycle]")) {
    button.hidden = false;
    button.dataset.now = theme();
    button.title = button.dataset[theme()];
    button.querySelector("[data-theme-name]").textContent = button.dataset[theme()];
  }
  for (const choice of document.querySelectorAll("[data-theme-choice]")) {
    choice.hidden = false;
    choice.querySelector(`[value="${theme()}"]`).checked = true;
  }
}

document.addEventListener("click", (event) => {
  const cycle = event.target.closest("[data-theme-cycle]");
  if (cycle) setTheme(THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).textContent);
    copy.querySelector("span").textContent = copy.dataset.done;
  }
});
document.addEventListener("change", (event) => {
  if (event.target.closest("[data-theme-choice]")) setTheme(event.target.value);
});
window.addEventListener("storage", (event) => event.key === "theme" && setTheme(theme()));
showTheme();

// --- times that stay true -----------------------------------------------------------------------
const UNITS = [["year", 31536000], ["month", 2592000], ["week", 604800], ["day", 86400], ["hour", 3600], ["minute", 60]];
const words = new Intl.RelativeTimeFormat(document.documentElement.lang || "en", { numeric: "always" });

function freshen() {
  for (const element of document.querySelectorAll("time[datetime]")) {
    const age = (Date.now() - Date.parse(element.dateTime)) / 1000;
    const unit = UNITS.find(([, seconds]) => age >= seconds);
    if (unit) element.textContent = words.format(-Math.floor(age / unit[1]), unit[0]);
  }
}
setInterval(freshen, 30000);

// --- what stays open --------------------------------------------------------------------------------
function reopen(root) {
  for (const box of root.querySelectorAll("details[data-remember]")) {
    box.open = sessionStorage.getItem(`open:${box.dataset.remember}`) === "1";
  }
}
document.addEventListener("toggle", ({ target }) => {
  if (target.dataset?.remember) sessionStorage.setItem(`open:${target.dataset.remember}`, target.open ? "1" : "0");
}, true);
document.addEventListener("htmx:afterSwap", () => reopen(document));
reopen(document);

// --- keys -------------------------------------------------------------------------------------------
export const isTyping = (element) => element.closest?.("input:not([type=checkbox]):not([type=radio]), textarea, select, dialog");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (event.key === "?") document.getElementById("keys")?.showModal();
  if (event.key === "/") {
    event.preventDefault();
    const search = document.querySelector("input[type=search]");
    if (search) search.focus();
    else document.querySelector('.rail a[href*="gallery"]')?.click();
  }
});
