// The editor of captions by keyboard alone: type, Enter, type. Each caption is saved by itself when one goes on.

const rows = () => [...document.querySelectorAll("[data-caption]")];
const text = (row) => row.querySelector("textarea");
const isChanged = (row) => text(row).value.trim() !== row.elements.was.value;
const say = (words) => Object.assign(document.querySelector("[data-said]") ?? {}, { textContent: words ?? "" });

function go(row, by) {
  const there = rows();
  const next = there[there.indexOf(row) + by];
  if (next) {
    text(next).focus();
    next.scrollIntoView({ block: "nearest" });
  }
  return next;
}

function save(row) {
  if (isChanged(row) && !text(row).readOnly) row.requestSubmit();
}

document.addEventListener("keydown", (event) => {
  const row = event.target.closest?.("[data-caption]");
  if (!row || event.target !== text(row) || event.isComposing) return;
  const accept = row.querySelector("button[name=accept]");
  if (event.key === "Enter" && event.altKey && accept) {
    event.preventDefault();
    accept.click();
    go(row, 1);
  } else if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    save(row);
    go(row, 1);
  } else if ((event.ctrlKey || event.metaKey) && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    save(row);
    go(row, event.key === "ArrowDown" ? 1 : -1);
  } else if (event.key === "Escape") {
    text(row).value = row.elements.was.value;
  }
});

// Whoever leaves a field with the mouse means what stands in it.
document.addEventListener("focusout", ({ target, relatedTarget }) => {
  const row = target.closest?.("[data-caption]");
  if (row && target === text(row) && !row.contains(relatedTarget)) save(row);
});

// The answer replaces the row: what is being typed in another one keeps its focus; a refusal takes it back.
document.addEventListener("htmx:afterSwap", ({ detail }) => {
  const row = document.getElementById(detail.target.id) ?? detail.elt;
  if (!row?.matches?.("[data-caption]")) return;
  if (row.classList.contains("has-error")) {
    text(row).focus();
    say(row.querySelector(".error")?.textContent);
  } else if (row.querySelector("[data-saved]")) {
    say(document.querySelector("[data-said]")?.dataset.savedWords);
  }
});

addEventListener("beforeunload", (event) => {
  if (rows().some((row) => isChanged(row) && !text(row).readOnly)) event.preventDefault();
});
