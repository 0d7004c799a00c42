// Putting the pictures of a collection in order: by dragging, and by the arrows below each. Without it the arrows post.

import { toast } from "./app.js";

const list = document.querySelector(".places");
const said = document.querySelector("[data-arranged]");
const csrf = document.querySelector('meta[name="csrf-token"]').content;
const placeOf = (target) => target.closest?.(".place");
const following = (place) => (place.nextElementSibling?.matches(".place") ? place.nextElementSibling : null);

async function keep(place, fields) {
  const body = new URLSearchParams({ image: place.dataset.image, ...fields });
  const reply = await fetch(list.dataset.move, { method: "POST", body, headers: { "X-CSRFToken": csrf, "HX-Request": "true" } });
  if (!reply.ok || reply.redirected) {
    toast(document.getElementById("toasts").dataset.refused);
    setTimeout(() => location.reload(), 1500);
    return;
  }
  const number = [...list.querySelectorAll(".place")].indexOf(place) + 1;
  said.textContent = said.dataset.arranged.replace("#", number);
}

// --- arrows -----------------------------------------------------------------------------------------------------
list?.addEventListener("submit", (event) => {
  const place = placeOf(event.target);
  const by = event.submitter?.value;
  const other = by === "earlier" ? place.previousElementSibling : following(place);
  if (!other) return; // beyond what has been loaded: the server knows the neighbour
  event.preventDefault();
  if (by === "earlier") other.before(place);
  else other.after(place);
  event.submitter.focus();
  keep(place, { by });
});

// --- dragging ---------------------------------------------------------------------------------------------------
let dragged = null;
const unmark = () => list.querySelector(".is-target")?.classList.remove("is-target");

list?.addEventListener("dragstart", (event) => {
  dragged = placeOf(event.target);
  dragged?.classList.add("is-dragged");
  event.dataTransfer.effectAllowed = "move";
});
list?.addEventListener("dragover", (event) => {
  if (!dragged) return;
  event.preventDefault();
  const over = placeOf(event.target);
  unmark();
  if (over && over !== dragged) over.classList.add("is-target");
});
list?.addEventListener("drop", (event) => {
  const over = placeOf(event.target);
  event.preventDefault();
  if (!dragged || !over || over === dragged) return;
  over.before(dragged);
  keep(dragged, { before: over.dataset.image });
});
list?.addEventListener("dragend", () => {
  unmark();
  dragged?.classList.remove("is-dragged");
  dragged = null;
});
