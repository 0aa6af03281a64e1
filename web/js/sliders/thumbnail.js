// The picture of a direction (minus, zero, plus), while the pointer or the keyboard is on its row.
// Plain DOM, no host.

import { make } from "./dom.js";

const DELAY = 350; // ms that the pointer rests on a row
const GAP = 4; // px between the row and its picture

let count = 0;

export class Thumbnail {
  // panel: where it is laid over; list: has the rows; find(row) -> {url, text}, or null
  constructor(panel, list, find) {
    Object.assign(this, { panel, list, find, row: null, timer: 0 });
    this.picture = make("img", "fls-thumbnail", { draggable: false });
    this.element = make("div", "fls-tip", { id: `face-latents-tip-${++count}`, hidden: true });
    this.element.setAttribute("role", "tooltip");
    this.element.append(this.picture);
    panel.append(this.element);
    list.addEventListener("pointerover", ({ target, buttons }) => {
      if (buttons === 0) this.wait(target.closest(".fls-row"));
    });
    list.addEventListener("focusin", ({ target }) => {
      if (target.matches(":focus-visible")) this.show(target.closest(".fls-row"));
    });
    for (const kind of ["pointerleave", "pointerdown", "focusout", "wheel"]) {
      list.addEventListener(kind, () => this.hide(), { passive: true });
    }
    list.addEventListener("keydown", ({ key }) => {
      if (key === "Escape") this.hide();
    });
  }

  wait(row) {
    if (row === this.row) return;
    this.hide();
    this.row = row;
    this.timer = setTimeout(() => this.show(row), DELAY);
  }

  show(row) {
    this.hide();
    const found = row && this.find(row);
    if (!found) return;
    this.row = row;
    this.picture.src = found.url;
    this.picture.alt = found.text;
    this.element.hidden = false;
    row.querySelector("input")?.setAttribute("aria-describedby", this.element.id);
    this.place(row);
  }

  // Above the row, or below it where there is no room. The canvas scales all that is on the page.
  place(row) {
    const [outer, inner] = [this.panel, row].map((one) => one.getBoundingClientRect());
    const scale = outer.width / this.panel.offsetWidth || 1;
    const above = (inner.top - outer.top) / scale - this.element.offsetHeight - GAP;
    const top = above >= 0 ? above : (inner.bottom - outer.top) / scale + GAP;
    const left = (inner.left - outer.left) / scale;
    Object.assign(this.element.style, { top: `${top}px`, left: `${left}px` });
  }

  hide() {
    clearTimeout(this.timer);
    this.row?.querySelector("input")?.removeAttribute("aria-describedby");
    this.row = null;
    this.element.hidden = true;
  }
}
