// A grid of pictures, in the gallery or in a collection. Without it pages have links, and a selection is a form with tick
// boxes.

import "./gallery/scrolling.js";
import "./gallery/selection.js";
import "./gallery/changes.js";
import "./gallery/judging.js";
import "./gallery/keyboard.js";
import "./gallery/tile-size.js";
