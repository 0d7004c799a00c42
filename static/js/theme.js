// Runs before the first paint, so that a chosen theme never flashes. A signed-in page brings its user's choice along;
// elsewhere (and for the page after signing out) this browser's last one counts. "system" stores and sets nothing: the
// administration reads the same place and knows another word for it.
{
  const root = document.documentElement;
  const chosen = root.dataset.themeChoice ?? localStorage.getItem("theme") ?? "system";
  root.dataset.js = "";
  if (chosen === "light" || chosen === "dark") {
    localStorage.setItem("theme", chosen);
    root.dataset.theme = chosen;
  } else localStorage.removeItem("theme");
}
