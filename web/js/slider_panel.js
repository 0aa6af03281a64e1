// The panel on the node: the picture, the rows, and what there is to say. Plain DOM, no host.

import { make, SliderRow } from "./slider_row.js";

const STYLE = new URL("../css/sliders.css", import.meta.url).href;
const HINT = "Queue the workflow once: the face appears here and follows the sliders.";

function addStyle() {
  if (document.querySelector(`link[href="${STYLE}"]`)) return;
  document.head.append(make("link", "", { rel: "stylesheet", href: STYLE }));
}

// The values that a node keeps. Zeros are left out; only where the others are kept still they name
// the user's own directions, which are kept still by being named.
export function valuesToSave(rows, values, keepsOthers) {
  const saved = {};
  for (const { name, source } of rows) {
    const value = values[name] ?? 0;
    if (value !== 0 || (keepsOthers && source === "file")) saved[name] = value;
  }
  return saved;
}

export class SliderPanel {
  // change(values, settled): the sliders moved. wire(name, label): its plug was pressed.
  // enter(): the pointer or the keyboard came in. keepsOthers(): whether others are kept still.
  constructor({ change, wire, enter, keepsOthers }) {
    addStyle();
    this.actions = { change, wire, keepsOthers };
    this.rows = new Map();
    this.values = {};
    this.wired = new Map();
    this.driven = {};
    this.locked = false;
    this.element = make("div", "face-latents-sliders");
    this.element.setAttribute("role", "group");
    this.element.setAttribute("aria-label", "Attribute sliders");
    this.picture = make("img", "fls-picture", { alt: "Preview of the edited faces", hidden: true });
    this.picture.draggable = false;
    this.hint = make("p", "fls-hint", { textContent: HINT });
    const stage = make("div", "fls-stage");
    stage.append(this.hint, this.picture);
    this.status = make("div", "fls-status");
    this.status.setAttribute("role", "status");
    this.reset = make("button", "fls-button", { type: "button", textContent: "Reset all" });
    this.reset.title = "Set all sliders to zero";
    this.list = make("div", "fls-list");
    this.list.dataset.captureWheel = "true"; // Nodes 2.0 then scrolls it instead of zooming
    const bar = make("div", "fls-bar");
    bar.append(this.status, this.reset);
    this.element.append(stage, bar, this.list);
    this.reset.addEventListener("click", () => this.resetAll());
    this.element.addEventListener("pointerenter", enter);
    this.element.addEventListener("focusin", enter);
    for (const kind of ["pointerdown", "mousedown", "dblclick", "contextmenu"]) {
      // Neither renderer should take a drag on a slider for one of the node.
      this.element.addEventListener(kind, (event) => event.stopPropagation());
    }
    this.list.addEventListener("wheel", (event) => {
      if (this.list.scrollHeight > this.list.clientHeight) event.stopPropagation();
    }, { passive: true });
  }

  isEmpty() {
    return this.rows.size === 0;
  }

  // directions: [{name, label, unit, low, high, source}]
  setDirections(directions) {
    const focused = document.activeElement?.closest?.(".fls-row")?.dataset.name;
    this.directions = directions;
    this.rows.clear();
    for (const direction of directions) this.addRow(direction, false);
    this.addMissing();
    this.fill();
    this.show();
    if (focused) this.rows.get(focused)?.focus();
  }

  setValues(values) {
    this.values = { ...values };
    if (this.addMissing()) this.fill();
    this.show();
  }

  fill() {
    const rows = [...this.rows.values()].map((row) => row.element);
    const none = make("div", "fls-status", {
      textContent: "No directions: connect a face model that has some, save one for it, or " +
        "connect extra_1 and queue.",
    });
    this.list.replaceChildren(...(rows.length ? rows : [none]));
  }

  // Values whose direction is not there are shown, not dropped. Before the list has come, all are.
  addMissing() {
    const before = this.rows.size;
    for (const name of Object.keys(this.values)) {
      if (!this.rows.has(name)) {
        const direction = { name, label: name.replaceAll("_", " "), unit: "", low: -3, high: 3 };
        this.addRow({ ...direction, source: "missing" }, !!this.directions?.length);
      }
    }
    return this.rows.size > before;
  }

  addRow(direction, missing) {
    this.rows.set(direction.name, new SliderRow(direction, missing, {
      change: (value, settled) => this.changed(direction.name, value, settled),
      wire: () => this.actions.wire(direction.name, direction.label),
      remove: () => this.removed(direction.name),
    }));
  }

  // wired: name -> whether its input is connected; driven: values of the last run.
  setWired(wired, driven) {
    this.wired = wired;
    this.driven = driven;
    this.show();
  }

  // All values come by wire; `values` are those of the last run.
  setLocked(locked, values) {
    this.locked = locked;
    this.lockedValues = values;
    this.reset.disabled = locked;
    this.show();
  }

  show() {
    for (const [name, row] of this.rows) {
      const connected = this.wired.get(name) === true;
      let value = this.locked ? this.lockedValues[name] : this.values[name];
      if (connected) value = this.driven[name] ?? value;
      row.show(value ?? 0, { hasWire: this.wired.has(name), fixed: connected || this.locked });
    }
  }

  changed(name, value, settled) {
    this.values[name] = value;
    this.show();
    this.actions.change(this.toSave(), settled);
  }

  removed(name) {
    delete this.values[name];
    this.rows.get(name)?.element.remove();
    this.rows.delete(name);
    this.actions.change(this.toSave(), true);
  }

  resetAll() {
    this.values = {};
    this.show();
    this.actions.change(this.toSave(), true);
  }

  toSave() {
    const rows = [...this.rows.values()].map((row) => row.direction);
    return valuesToSave(rows, this.values, this.actions.keepsOthers());
  }

  showPicture(url) {
    this.picture.src = url;
    this.picture.hidden = false;
    this.hint.hidden = true;
  }

  say(text) {
    this.status.textContent = text;
    this.status.title = text;
  }
}
