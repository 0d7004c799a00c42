// Runs before the first paint, so that a chosen theme never flashes. "system" stores nothing.
{
  const chosen = localStorage.getItem("theme");
  const root = document.documentElement;
  root.dataset.js = "";
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
}
