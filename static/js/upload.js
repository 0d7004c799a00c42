// Photos into a dataset: dropped or chosen, sent one by one with progress. Without this module the form sends them.

const form = document.querySelector("[data-upload]");
const drop = form.querySelector("[data-drop]");
const state = form.querySelector("[data-state]");
const words = state.querySelector("[data-words]");
const bar = state.querySelector("progress");
const problems = state.querySelector("[data-problems]");
const AT_ONCE = 3;
let chosen = []; // [file, its path in the folder]

function show() {
  state.hidden = !chosen.length;
  words.textContent = form.dataset.chosen.replace("#", chosen.length.toLocaleString(document.documentElement.lang));
  const name = form.elements.name;
  if (name && !name.value && chosen.length) name.value = suggested();
}

// A folder is called after what is in it, a ZIP too.
function suggested() {
  const [file, path] = chosen[0];
  const top = path.includes("/") ? path.split("/")[0] : chosen.length === 1 ? file.name.replace(/\.zip$/i, "") : "";
  return top.replace(/[_]+/g, " ").slice(0, 120);
}

function add(files) {
  const known = new Set(chosen.map(([, path]) => path));
  for (const [file, path] of files) if (!known.has(path)) chosen.push([file, path]);
  show();
}

form.addEventListener("change", ({ target }) => {
  if (target.matches("[data-files]")) add([...target.files].map((file) => [file, file.webkitRelativePath || file.name]));
});

// --- dropping -----------------------------------------------------------------------------------------------------
for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("is-over"); });
}
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("is-over"));
drop.addEventListener("drop", async (event) => {
  event.preventDefault();
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const plain = [...event.dataTransfer.files].map((file) => [file, file.name]);
  add(entries.some((entry) => entry.isDirectory) ? (await Promise.all(entries.map(filesIn))).flat() : plain);
});

async function filesIn(entry) {
  if (entry.isFile) return [[await new Promise((tell, fail) => entry.file(tell, fail)), entry.fullPath.slice(1)]];
  const reader = entry.createReader();
  const inside = [];
  for (;;) { // a hundred at a time
    const some = await new Promise((tell, fail) => reader.readEntries(tell, fail));
    if (!some.length) return (await Promise.all(inside.map(filesIn))).flat();
    inside.push(...some);
  }
}

// --- sending ------------------------------------------------------------------------------------------------------
const csrf = form.elements.csrfmiddlewaretoken.value;
const post = (address, body) =>
  fetch(address, { method: "POST", body, headers: { "X-CSRFToken": csrf, Accept: "application/json" } });

function refuse(field, problem) {
  form.querySelector(`[data-error=${field}]`).textContent = problem;
  form.elements[field === "name" ? "name" : "files"]?.focus();
}

function sent(address, file, path, progress) {
  return new Promise((tell) => {
    const request = new XMLHttpRequest();
    const body = new FormData();
    body.append("name", path);
    body.append("file", file, file.name);
    request.upload.addEventListener("progress", ({ loaded }) => progress(Math.min(loaded, file.size)));
    request.addEventListener("loadend", () => {
      progress(file.size);
      if (request.status === 204) return tell("");
      try { tell(JSON.parse(request.responseText).problem); } catch { tell(form.dataset.failed); }
    });
    request.open("POST", address);
    request.setRequestHeader("X-CSRFToken", csrf);
    request.setRequestHeader("Accept", "application/json");
    request.send(body);
  });
}

async function sendAll(address) {
  const sizes = chosen.map(() => 0);
  const total = chosen.reduce((sum, [file]) => sum + file.size, 0) || 1;
  const waiting = chosen.map((each, place) => [...each, place]);
  let done = 0, good = 0;
  const next = async () => {
    for (let item; (item = waiting.shift());) {
      const [file, path, place] = item;
      const problem = await sent(address, file, path, (bytes) => {
        sizes[place] = bytes;
        bar.value = sizes.reduce((sum, size) => sum + size, 0) / total;
      });
      done += 1;
      words.textContent = form.dataset.sending.replace("#", done).replace("#", chosen.length);
      if (!problem) good += 1;
      else problems.append(Object.assign(document.createElement("li"), { textContent: `${path}: ${problem}` }));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, next));
  return good;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  for (const error of form.querySelectorAll("[data-error]")) error.textContent = "";
  if (!chosen.length) return refuse("files", form.dataset.none);
  const button = form.querySelector("[data-send]");
  button.disabled = true;
  try {
    const body = new FormData();
    if (form.elements.name) body.append("name", form.elements.name.value);
    body.append("source", chosen.length === 1 ? chosen[0][0].name : "");
    const begun = await post(form.action || location.href, body);
    const told = await begun.json();
    if (!begun.ok) return refuse(told.field, told.problem);
    if (await sendAll(told.files)) {
      const started = await post(told.start, new FormData());
      if (!started.ok) return refuse("files", (await started.json()).problem);
    }
    location.assign(told.next);
  } catch {
    refuse("files", form.dataset.failed);
  } finally {
    button.disabled = false;
  }
});
