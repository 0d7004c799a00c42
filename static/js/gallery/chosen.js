// Which pictures are selected, for one search in one tab: a page of the grid that has been left, and the page of one
// picture, know it too. Whoever changes it is heard as `selection-changed` on the document.

const KEY = "selection";
const PLACES = ["cursor", "before", "sort"]; // they say what is on screen, not what was searched

// A grid knows what it shows; the page of one picture has it in its address.
function scope() {
  const query = new URLSearchParams(document.getElementById("selection")?.elements.query.value ?? location.search);
  PLACES.forEach((name) => query.delete(name));
  query.sort();
  return query.toString();
}

function read() {
  const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "{}");
  return new Set(kept.scope === scope() ? kept.ids : []);
}

function write(ids) {
  sessionStorage.setItem(KEY, JSON.stringify({ scope: scope(), ids: [...ids] }));
  document.dispatchEvent(new CustomEvent("selection-changed"));
}

export const chosen = {
  ids: () => [...read()],
  has: (id) => read().has(id),
  set(wanted, on) {
    const ids = read();
    for (const id of wanted) ids[on ? "add" : "delete"](id);
    write(ids);
  },
  clear: () => write([]),
};
