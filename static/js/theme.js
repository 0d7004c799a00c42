// Runs before the first paint, so that a chosen theme never flashes. A signed-in page brings its user's choice along;
// elsewhere (and for the page after signing out) this browser's last one counts. "system" sets nothing.
{
  const root = document.documentElement;
  const chosen = root.dataset.themeChoice ?? localStorage.getItem("theme") ?? "system";
  localStorage.setItem("theme", chosen);
  root.dataset.js = "";
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
}
