// ← → and Esc follow the page's own links.

import { isTyping } from "./app.js";

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || isTyping(event.target)) return;
  document.querySelector(`a[data-key="${event.key}"]`)?.click();
});
