// Tells a screen reader politely what has happened: a generation began, a picture is ready, a list has opened.

const told = new Map();

export function say(words) {
  document.getElementById("news").textContent = words;
}

// A card's news changes with events, not with steps. What the page began with is no news.
function listen(quiet) {
  for (const card of document.querySelectorAll("[data-news]")) {
    const { news } = card.dataset;
    if (!quiet && told.get(card.id) !== news) say(news);
    told.set(card.id, news);
  }
}

listen(true);
document.addEventListener("htmx:afterSettle", () => listen(false));
