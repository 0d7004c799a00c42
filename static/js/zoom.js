// Zoom and pan of one picture, or of several that always show the same part. A stage holds a sheet, and the sheet the
// picture; only the sheet moves. Where it is moved to is kept in parts of the stage's size, so that stages can share it.

const LARGEST = 32; // screen pixels for one of the picture
const PIXELS_FROM = 4; // from here on one wants to see pixels, not a smooth guess between them
const WHEEL = 0.0018;
const SWIPE = 48;

const clamp = (value, most) => Math.min(Math.max(value, -most), most);

// `changed` hears of every move, `swiped` (-1 or 1) of a sideways swipe over a picture that is not enlarged.
export function zoomable(stages, { changed = () => {}, swiped = () => {} } = {}) {
  const view = { zoom: 1, x: 0, y: 0 };
  const pointers = new Map();
  let start = null;

  const picture = (stage) => stage.querySelector(".full");
  const fitted = (stage = stages[0]) => {
    const { clientWidth, clientHeight, naturalWidth, naturalHeight } = picture(stage);
    return naturalWidth ? Math.min(clientWidth / naturalWidth, clientHeight / naturalHeight) : 1;
  };
  const scale = () => fitted() * view.zoom;
  const room = () => {
    const { naturalWidth, naturalHeight } = picture(stages[0]);
    const { clientWidth, clientHeight } = stages[0];
    const beyond = (size, space) => Math.max(0, (size * scale() - space) / 2) / space || 0;
    return [beyond(naturalWidth, clientWidth), beyond(naturalHeight, clientHeight)];
  };

  function show() {
    const [wide, high] = room();
    view.x = clamp(view.x, wide);
    view.y = clamp(view.y, high);
    for (const stage of stages) {
      const { style } = stage.querySelector(".sheet");
      const [x, y] = [view.x * stage.clientWidth, view.y * stage.clientHeight];
      style.setProperty("transform", view.zoom === 1 ? "none" : `translate(${x}px, ${y}px) scale(${view.zoom})`);
      stage.classList.toggle("is-zoomed", view.zoom > 1);
      stage.classList.toggle("is-pixels", fitted(stage) * view.zoom > PIXELS_FROM + 0.01);
    }
    changed(self);
  }

  // The point of the picture that lies under (x, y) of the stage, from its middle, stays there.
  function zoomBy(factor, [x, y] = [0, 0]) {
    const before = view.zoom;
    view.zoom = Math.min(Math.max(before * factor, 1), Math.max(1, LARGEST / fitted()));
    const grown = view.zoom / before;
    view.x = x - (x - view.x) * grown;
    view.y = y - (y - view.y) * grown;
    show();
  }

  function pan(x, y) {
    view.x += x;
    view.y += y;
    show();
  }

  function fit() {
    Object.assign(view, { zoom: 1, x: 0, y: 0 });
    show();
  }

  const self = { zoomBy, pan, fit, scale, isZoomed: () => view.zoom > 1 };

  // --- pointers -----------------------------------------------------------------------------------------------------
  const within = (stage, { clientX, clientY }) => {
    const box = stage.getBoundingClientRect();
    return [(clientX - box.left) / box.width - 0.5, (clientY - box.top) / box.height - 0.5];
  };
  const middle = (points) => points.reduce(([x, y], point) => [x + point[0] / points.length, y + point[1] / points.length], [0, 0]);
  const spread = ([a, b]) => Math.hypot(a[0] - b[0], a[1] - b[1]);

  function down(event) {
    if (event.button || event.target.closest("a, button, input")) return;
    const stage = event.currentTarget;
    pointers.set(event.pointerId, within(stage, event));
    start = { x: event.clientX, y: event.clientY, alone: pointers.size === 1 };
    if (view.zoom > 1 || pointers.size > 1) stage.setPointerCapture(event.pointerId);
  }

  function move(event) {
    if (!pointers.has(event.pointerId)) return;
    const before = [...pointers.values()];
    pointers.set(event.pointerId, within(event.currentTarget, event));
    const now = [...pointers.values()];
    if (now.length === 2 && spread(before) > 0) zoomBy(spread(now) / spread(before), middle(now));
    if (now.length === 2 || view.zoom > 1) pan(...middle(now).map((value, axis) => value - middle(before)[axis]));
    if (now.length > 1) start.alone = false;
  }

  function up(event) {
    if (!pointers.delete(event.pointerId) || pointers.size || event.type === "pointercancel") return;
    const [x, y] = [event.clientX - start.x, event.clientY - start.y];
    const isSwipe = event.pointerType === "touch" && start.alone && view.zoom === 1;
    if (isSwipe && Math.abs(x) > SWIPE && Math.abs(x) > 2 * Math.abs(y)) swiped(x < 0 ? 1 : -1);
  }

  // A wheel over a picture that lies in the page, and is not enlarged, scrolls the page.
  function wheel(event) {
    const fixed = getComputedStyle(event.currentTarget.parentElement).position === "sticky";
    if (!fixed && !event.ctrlKey && view.zoom === 1) return;
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? 20 : 1) * (event.ctrlKey ? 5 : 1) * WHEEL), within(event.currentTarget, event));
  }

  function twice(event) {
    if (event.target.closest("a, button, input")) return;
    if (view.zoom > 1) fit();
    else zoomBy(Math.max(2, 1 / fitted()), within(event.currentTarget, event));
  }

  for (const stage of stages) {
    stage.addEventListener("pointerdown", down);
    stage.addEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, up);
    stage.addEventListener("wheel", wheel, { passive: false });
    stage.addEventListener("dblclick", twice);
    picture(stage).addEventListener("load", show);
  }
  new ResizeObserver(show).observe(stages[0]);
  return self;
}

// + − 0 and, when enlarged, the arrows. True when the key was one of these.
const STEP = 0.12;
const MOVES = { ArrowLeft: [STEP, 0], ArrowRight: [-STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] };

export function zoomKey(zoom, key, mayUseLetters = true) {
  if (zoom.isZoomed() && key in MOVES) zoom.pan(...MOVES[key]);
  else if (zoom.isZoomed() && key === "Escape") zoom.fit();
  else if (!mayUseLetters) return false;
  else if (key === "+" || key === "=") zoom.zoomBy(1.5);
  else if (key === "-" || key === "−") zoom.zoomBy(1 / 1.5);
  else if (key === "0") zoom.fit();
  else return false;
  return true;
}

// The buttons of `_zoom.html`, and the percentage between them.
export function zoomButtons(box, zoom) {
  box.hidden = false;
  box.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (button?.dataset.zoomBy) zoom.zoomBy(Number(button.dataset.zoomBy));
    if (button?.hasAttribute("data-zoom-fit")) zoom.fit();
  });
}

export function showPercent(box, zoom) {
  box.querySelector("[data-zoom-percent]").textContent = `${Math.round(zoom.scale() * 100)} %`;
  box.querySelector("[data-zoom-fit]").disabled = !zoom.isZoomed();
}
