// The groups of sliders: which slider is in which, which are found by a search, and the heading
// that folds one. Plain DOM, no host.

import { make, makeButton } from "./dom.js";
import { translate } from "./translate.js";

const MISSING = "missing";
const OWN = "your own";
const OTHER = "other";

let count = 0;

// direction: {name, label, unit, source, group}
export function groupOf({ source, group }) {
  if (source === "missing") return MISSING;
  if (source === "file" || source === "wire") return OWN;
  return group || OTHER;
}

// Group name -> directions, in the order of the directions; what is missing comes first.
export function groupDirections(directions) {
  const groups = new Map();
  const missing = directions.filter((one) => groupOf(one) === MISSING);
  for (const one of new Set([...missing, ...directions])) {
    const name = groupOf(one);
    groups.set(name, [...(groups.get(name) ?? []), one]);
  }
  return groups;
}

// The groups that are open where the node does not say: the first, and those with moved sliders.
export function openAtFirst(groups, values) {
  const names = [...groups.keys()];
  const first = names.find((name) => name !== MISSING);
  return names.filter((name) => name === first || name === MISSING ||
    groups.get(name).some((one) => (values[one.name] ?? 0) !== 0));
}

// Whether a slider has every word of a search in its name, what it does, or its group.
export function isFound(direction, search) {
  const { name, label, unit } = direction;
  const group = groupOf(direction);
  const text = `${name} ${label} ${unit} ${group} ${translate(group)}`.toLowerCase();
  return search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

// The heading of a group, and its rows below it.
export class Group {
  // fold(open): its heading was pressed. reset(): its sliders are to go to zero.
  constructor(name, rows, { fold, reset }) {
    this.name = name;
    this.rows = rows;
    this.element = make("div", "fls-group");
    this.element.setAttribute("role", "group");
    const shown = translate(name);
    this.element.setAttribute("aria-label", shown);
    this.element.dataset.group = name;
    this.body = make("div", "fls-rows", { id: `face-latents-group-${++count}` });
    this.body.append(...rows.map((row) => row.element));
    this.heading = make("button", "fls-heading", { type: "button" });
    this.heading.setAttribute("aria-controls", this.body.id);
    this.heading.addEventListener("click", () => fold(!this.open));
    this.moved = make("span", "fls-count");
    this.heading.append(make("span", "", { textContent: shown }), this.moved);
    const hint = translate("Set all of {group} to zero", { group: shown });
    this.reset = makeButton("fls-sign", "\u21ba", hint, reset);
    const top = make("div", "fls-top");
    top.append(this.heading, this.reset);
    this.element.append(top, this.body);
  }

  // search: "" shows all rows, if the group is open.
  show(open, search) {
    this.open = open || search !== "";
    let found = 0;
    for (const { element, direction } of this.rows) {
      element.hidden = search !== "" && !isFound(direction, search);
      if (!element.hidden) found += 1;
    }
    this.element.hidden = found === 0;
    this.body.hidden = !this.open;
    this.heading.setAttribute("aria-expanded", `${this.open}`);
    return found;
  }

  // How many sliders are not at zero: a folded group does not hide that.
  showMoved() {
    const moved = this.rows.filter((row) => row.value !== 0).length;
    if (moved === this.shownMoved) return;
    this.shownMoved = moved;
    this.moved.textContent = moved ? translate("{count} moved", { count: moved }) : "";
    this.reset.disabled = moved === 0;
  }
}
