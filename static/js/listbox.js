// Options that a text field moves through without losing its focus: the prompt's suggestions, the models' list.

export class Listbox {
  // `choose(option)` is called for the chosen one; `mark` is the attribute or class that shows where one is.
  constructor(field, list, choose, show = (option, on) => option.setAttribute("aria-selected", on)) {
    Object.assign(this, { field, list, choose, show });
    list.addEventListener("mousedown", (event) => event.preventDefault()); // the field keeps its focus
    list.addEventListener("click", ({ target }) => {
      const option = target.closest("[role=option]:not([aria-disabled])");
      if (option) choose(option);
    });
  }

  get options() {
    return [...this.list.querySelectorAll("[role=option]:not([aria-disabled])")];
  }

  get active() {
    return document.getElementById(this.field.getAttribute("aria-activedescendant") ?? "");
  }

  activate(option) {
    if (this.active) this.show(this.active, false);
    if (!option) return this.field.removeAttribute("aria-activedescendant");
    this.show(option, true);
    this.field.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  }

  // Round and round, with a stop on none of them where `rests`.
  move(by, rests = false) {
    const places = rests ? [null, ...this.options] : this.options;
    const here = Math.max(places.indexOf(this.active), rests ? 0 : -1);
    this.activate(places[(here + by + places.length + (here < 0 && by < 0 ? 1 : 0)) % places.length]);
  }
}
