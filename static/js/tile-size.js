// Runs before the first paint, so that the rows have their chosen height at once. "medium" stores nothing.
{
  const chosen = localStorage.getItem("tiles");
  if (chosen === "small" || chosen === "large") document.documentElement.dataset.tiles = chosen;
}
