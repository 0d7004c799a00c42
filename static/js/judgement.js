// Star and rating of a picture on its own page: what is pressed shows at once, and is taken back when the server does not
// take it. Without this file the form posts and the page comes again.

import { toast } from "./toasts.js";

const token = () => document.querySelector('meta[name="csrf-token"]').content;

function showJudgement(form, { favourite, rating }) {
  const star = form.querySelector("[name=favourite]");
  star.setAttribute("aria-pressed", favourite);
  star.value = favourite ? "0" : "1";
  for (const button of form.querySelectorAll("[name=rating]")) {
    const isIt = Number(button.dataset.stars) === rating;
    button.setAttribute("aria-pressed", isIt);
    button.value = isIt ? "0" : button.dataset.stars;
  }
}

const judgementIn = (form) => ({
  favourite: form.querySelector("[name=favourite]").value === "0",
  rating: Number(form.querySelector('[name=rating][aria-pressed="true"]')?.dataset.stars ?? 0) || null,
});

async function judge(form, name, value) {
  const before = judgementIn(form);
  showJudgement(form, { ...before, [name]: name === "favourite" ? value === "1" : Number(value) || null });
  const answer = await fetch(form.action, {
    method: "POST",
    headers: { Accept: "application/json", "X-CSRFToken": token() },
    body: new URLSearchParams({ [name]: value }),
  }).catch(() => null);
  if (answer?.ok && !answer.redirected) return showJudgement(form, await answer.json());
  showJudgement(form, before);
  const words = document.getElementById("toasts").dataset;
  toast(answer ? words.refused : words.offline);
}

document.addEventListener("submit", (event) => {
  const { target: form, submitter } = event;
  if (!form.matches("[data-judge]") || !submitter?.name) return;
  event.preventDefault();
  judge(form, submitter.name, submitter.value);
});
