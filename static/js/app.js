// What every page needs: requests, theme, times, tray, keys.

import { toast } from "./toasts.js";

const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content;

// --- requests -----------------------------------------------------------------------------------
document.addEventListener("htmx:configRequest", ({ detail }) => {
  if (detail.verb !== "get") detail.headers["X-CSRFToken"] = meta("csrf-token");
});

// --- forms that narrow what is shown -------------------------------------------------------------
document.addEventListener("change", ({ target }) => {
  if (target.matches("[data-submits] select")) target.form.requestSubmit();
});
// Empty fields stay out of the address.
document.addEventListener("formdata", ({ target, formData }) => {
  if (target.matches("[data-submits]")) for (const [name, value] of [...formData]) if (!value) formData.delete(name);
});

// --- polling ------------------------------------------------------------------------------------
// Polling rests while nobody looks, and catches up at once. Only the tray goes on now and then, to mark the title when a
// job has ended, and only while no other tab is looked at: that one shall have the news.
const UNSEEN_SECONDS = 10;
let lastUnseen = Date.now();

function mayPollUnseen(element) {
  const looked = Number(localStorage.getItem("looked") ?? 0);
  if (element.dataset.polls !== "unseen" || Date.now() - Math.max(looked, lastUnseen) < UNSEEN_SECONDS * 1000) return false;
  lastUnseen = Date.now();
  return true;
}

document.addEventListener("htmx:beforeRequest", (event) => {
  if (!event.target.dataset || !("polls" in event.target.dataset)) return;
  if (!document.hidden) localStorage.setItem("looked", Date.now());
  else if (!mayPollUnseen(event.target)) event.preventDefault();
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

export { toast };
const toasts = document.getElementById("toasts");
for (const name of ["pictures-changed", "toast"]) {
  document.addEventListener(name, ({ detail }) => detail?.words && toast(detail.words, detail.undo));
}
document.addEventListener("htmx:sendError", () => toast(toasts?.dataset.offline));
document.addEventListener("htmx:responseError", () => toast(toasts?.dataset.refused));

// --- theme --------------------------------------------------------------------------------------
const THEMES = ["system", "light", "dark"];
const theme = () => (THEMES.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "system");
const after = (name) => THEMES[(THEMES.indexOf(name) + 1) % THEMES.length];

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
    button.value = after(theme());
    button.title = button.dataset[theme()];
    button.querySelector("[data-theme-name]").textContent = button.dataset[theme()];
  }
  const choice = document.querySelector(`[data-theme-choices] [value="${theme()}"]`);
  if (choice) choice.checked = true;
}

// The account keeps it, so that it is the same on every device.
function keepTheme(address, name) {
  const headers = { "X-CSRFToken": meta("csrf-token"), "X-Requested-With": "fetch" };
  fetch(address, { method: "POST", headers, body: new URLSearchParams({ theme: name }) }).then(
    (answer) => answer.ok || toast(toasts?.dataset.refused),
    () => toast(toasts?.dataset.offline),
  );
}

document.addEventListener("click", (event) => {
  const cycle = event.target.closest("[data-theme-cycle]");
  if (cycle) {
    event.preventDefault();
    setTheme(after(theme()));
    if (cycle.form) keepTheme(cycle.form.action, theme());
  }
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).textContent);
    copy.querySelector("span").textContent = copy.dataset.done;
  }
  const opens = event.target.closest("[data-open]");
  if (opens) document.getElementById(opens.dataset.open).showModal();
});
document.addEventListener("change", ({ target }) => {
  const choices = target.closest("[data-theme-choices]");
  if (!choices) return;
  setTheme(target.value);
  keepTheme(choices.dataset.themeChoices, target.value);
});
window.addEventListener("storage", (event) => event.key === "theme" && setTheme(theme()));
window.addEventListener("pageshow", (event) => event.persisted && setTheme(theme()));
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

// Shortcuts of a single key can be switched off in the account (WCAG 2.1.4).
export const keysAreOn = () => document.body.dataset.keys !== "off";

document.addEventListener("keydown", (event) => {
  if (!keysAreOn() || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (event.key === "?") document.getElementById("keys")?.showModal();
  if (event.key === "/") {
    event.preventDefault();
    const search = document.querySelector("input[type=search]");
    if (search) search.focus();
    else document.querySelector('.rail a[href*="gallery"]')?.click();
  }
});
