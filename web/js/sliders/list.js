// The list of sliders: rows in groups that fold, and a search. Plain DOM, no host.

import { make } from "./dom.js";
import { Group, groupDirections, openAtFirst } from "./groups.js";
import { SliderRow } from "./row.js";
import { translate } from "./translate.js";

export class SliderList {
  // change(name, value, settled); lock(name); wire(name, label); remove(name); reset(names).
  // memory: {open, search}: names of the open groups, null at first; what is searched for.
  // remember(changes): keep that with the node.
  constructor({ change, lock, wire, remove, reset, remember }, memory) {
    this.actions = { change, lock, wire, remove, reset, remember };
    this.memory = memory;
    this.rows = new Map();
    this.groups = [];
    this.element = make("div", "fls-list");
    this.element.dataset.captureWheel = "true"; // Nodes 2.0 then scrolls it instead of zooming
    this.element.addEventListener("wheel", (event) => {
      const { scrollHeight, clientHeight } = this.element;
      if (scrollHeight > clientHeight) event.stopPropagation();
    }, { passive: true });
    this.found = make("div", "fls-note fls-found");
    this.found.setAttribute("role", "status");
    const placeholder = translate("Search sliders");
    this.search = make("input", "fls-search", { type: "search", placeholder });
    this.search.setAttribute("aria-label", placeholder);
    this.search.addEventListener("input", () => this.searched());
    this.search.addEventListener("keydown", (event) => {
      event.stopPropagation(); // letters are shortcuts of the host
      if (event.key === "Escape") {
        this.search.value = "";
        this.searched();
      }
    });
  }

  // directions: [{name, label, unit, low, high, source, group}]; values: of all sliders, by name;
  // known: whether the list has come, so that what it lacks is missing.
  setDirections(directions, values, known) {
    const focused = document.activeElement?.closest?.(".fls-row")?.dataset.name;
    this.directions = directions;
    this.known = known;
    this.rows.clear();
    for (const direction of directions) this.addRow(direction, false);
    this.addMissing(values);
    this.fill(values);
    if (focused) this.rows.get(focused)?.focus();
  }

  setValues(values) {
    if (this.addMissing(values)) this.fill(values);
  }

  // Values whose direction is not there are shown, not dropped. Before the list has come, all are.
  addMissing(values) {
    const before = this.rows.size;
    for (const name of Object.keys(values)) {
      if (!this.rows.has(name)) {
        const direction = { name, label: name.replaceAll("_", " "), unit: "", low: -3, high: 3 };
        this.addRow({ ...direction, source: "missing" }, !!this.known);
      }
    }
    return this.rows.size > before;
  }

  addRow(direction, missing) {
    this.rows.set(direction.name, new SliderRow(direction, missing, {
      change: (value, settled) => this.actions.change(direction.name, value, settled),
      lock: () => this.actions.lock(direction.name),
      wire: () => this.actions.wire(direction.name, direction.label),
      remove: () => this.actions.remove(direction.name),
    }));
  }

  fill(values) {
    const groups = groupDirections([...this.rows.values()].map((row) => row.direction));
    this.openAtFirst = openAtFirst(groups, values);
    this.groups = [...groups].map(([name, directions]) => {
      const names = directions.map((direction) => direction.name);
      return new Group(name, names.map((one) => this.rows.get(one)), {
        fold: (open) => this.fold(name, open),
        reset: () => this.actions.reset(names),
      });
    });
    this.element.classList.toggle("fls-flat", groups.size < 2);
    const none = make("div", "fls-note", {
      textContent: translate("No directions: connect a face model that has some, save one for " +
        "it, or connect extra_1 and queue."),
    });
    const shown = this.groups.map((group) => group.element);
    this.element.replaceChildren(this.found, ...(shown.length ? shown : [none]));
    this.showGroups();
  }

  isOpen(name) {
    return this.groups.length < 2 || (this.memory.open ?? this.openAtFirst).includes(name);
  }

  fold(name, open) {
    const others = (this.memory.open ?? this.openAtFirst).filter((one) => one !== name);
    this.actions.remember({ open: open ? [...others, name] : others });
    this.showGroups();
  }

  searched() {
    this.actions.remember({ search: this.search.value });
    this.showGroups();
  }

  showGroups() {
    const search = this.search.value.trim();
    let found = 0;
    for (const group of this.groups) found += group.show(this.isOpen(group.name), search);
    this.found.hidden = search === "";
    const counts = { found, count: this.rows.size };
    this.found.textContent = search && translate("{found} of {count} sliders", counts);
  }

  // The directions whose rows can be seen now, scrolled away or not.
  visible() {
    return this.groups.flatMap((group) => (group.open ? group.rows : []))
      .filter((row) => !row.missing && !row.element.hidden)
      .map((row) => row.direction);
  }

  // What the node remembers: its graph and what it keeps are known only after it was made.
  recall() {
    this.search.value = this.memory.search;
    this.showGroups();
  }

  // show(row): brings one up to date.
  show(show) {
    for (const row of this.rows.values()) show(row);
    for (const group of this.groups) group.showMoved();
  }

  remove(name, values) {
    this.rows.delete(name);
    this.fill(values);
  }
}
