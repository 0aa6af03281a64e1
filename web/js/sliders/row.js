// One slider: name, track with zero in the middle, number, reset, lock, plug. Plain DOM, no host.

import { make, makeButton } from "./dom.js";
import { describeValue, isNatural, placeOf, reachOf, roundValue } from "./range.js";
import { translate } from "./translate.js";

const STEP = 0.1;
const FINE = 0.01;
const PAGE = 1;
const MOVES = {
  ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10,
};
const THUMB = 14; // px, as in sliders.css
const RESETS = new Set(["Home", "0", "Delete", "Backspace"]);

let count = 0;

function describe(direction, missing) {
  if (missing) return translate("This direction does not exist for the model: it is left out.");
  const lines = [direction.unit || direction.name];
  if (direction.source === "file") lines.push(translate("Your file {name}", direction));
  lines.push(translate("Looks natural from {low} to {high}; the coloured part lies beyond. " +
    "Double-click for zero.", direction));
  return lines.join("\n");
}

export class SliderRow {
  // direction: {name, label, unit, low, high, source, group}
  // change(value, settled), lock(), wire(), remove()
  constructor(direction, missing, { change, lock, wire, remove }) {
    this.direction = direction;
    this.missing = missing;
    this.change = change;
    this.lock = lock;
    this.value = 0;
    this.shown = ""; // what `show` was given last
    const id = `face-latents-slider-${++count}`;
    const hint = describe(direction, missing);
    this.element = make("div", `fls-row${missing ? " fls-missing" : ""}`, { title: hint });
    this.element.dataset.name = direction.name;
    this.label = make("label", "fls-label", { htmlFor: id, textContent: direction.label });
    const reach = reachOf(direction);
    this.range = make("input", "fls-range", { id, type: "range", min: -reach, max: reach, step: FINE });
    this.range.setAttribute("aria-description", hint);
    this.range.setAttribute("aria-keyshortcuts", "Home L");
    this.place("--fls-low", direction.low);
    this.place("--fls-high", direction.high);
    this.number = make("input", "fls-number", { type: "number", step: STEP });
    this.number.setAttribute("aria-label", translate("{label}, exact value", direction));
    const toZero = () => this.set(0, true);
    this.reset = makeButton("fls-sign", "\u21ba", translate("Reset {label}", direction), toZero);
    this.padlock = makeButton("fls-sign fls-lock", "", translate("Lock {label}", direction), lock);
    this.padlock.title += `: ${translate("presets, randomise and resets of many leave it")}`;
    // Their keys on the slider are Home and L: Tab need not stop at them.
    this.reset.tabIndex = this.padlock.tabIndex = -1;
    this.button = missing
      ? makeButton("fls-sign", "\u00d7", translate("Remove {label}", direction), remove)
      : makeButton("fls-sign", "\u25cb", translate("Set {label} by wire", direction), wire);
    this.element.append(
      this.label, this.range, this.number, this.reset, this.padlock, this.button,
    );
    this.listen();
  }

  listen() {
    const { range, number } = this;
    range.addEventListener("input", () => this.set(Number(range.value), false));
    range.addEventListener("change", () => this.set(Number(range.value), true));
    range.addEventListener("keydown", (event) => this.pressed(event));
    this.label.addEventListener("dblclick", () => this.set(0, true));
    range.addEventListener("dblclick", () => this.set(0, true));
    number.addEventListener("change", () => {
      const typed = Number(number.value);
      this.set(Number.isFinite(typed) ? typed : 0, true);
    });
    number.addEventListener("keydown", (event) => event.stopPropagation());
    number.addEventListener("focus", () => number.select());
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const move = MOVES[event.key];
    if (move !== undefined) {
      const step = event.shiftKey ? FINE : STEP;
      this.set(this.value + (Math.abs(move) > 1 ? Math.sign(move) * PAGE : move * step), false);
    } else if (RESETS.has(event.key)) {
      this.set(0, true);
    } else if (event.key.toLowerCase() === "l" && !this.missing) {
      this.lock();
    } else return;
    event.preventDefault();
    event.stopPropagation(); // Delete would remove the node
  }

  set(value, settled) {
    if (this.fixed) return;
    this.shown = ""; // the range or the number may show what is no value of it
    this.change(roundValue(value), settled);
  }

  place(property, value) {
    // The middle of the thumb never reaches the ends of the track.
    const share = placeOf(this.direction, value);
    const middle = `calc(${THUMB / 2}px + (100% - ${THUMB}px) * ${share})`;
    this.range.style.setProperty(property, middle);
  }

  // fixed: the value comes by wire and cannot be dragged. locked: only the hand moves it.
  show(value, { hasWire, fixed, locked }) {
    const shown = [value, hasWire, fixed, locked].join();
    if (shown === this.shown) return; // what is written is laid out anew, changed or not
    const typing = document.activeElement === this.number;
    this.shown = typing ? "" : shown;
    this.value = value;
    this.fixed = fixed || this.missing;
    this.range.value = value;
    this.range.disabled = this.number.disabled = this.fixed;
    if (!typing) this.number.value = Number(value.toFixed(2));
    this.range.setAttribute("aria-valuetext", describeValue(this.direction, value));
    this.place("--fls-from", Math.min(value, 0));
    this.place("--fls-to", Math.max(value, 0));
    this.element.classList.toggle("fls-beyond", !isNatural(this.direction, value));
    this.element.classList.toggle("fls-moved", value !== 0);
    this.reset.disabled = this.fixed || value === 0;
    this.padlock.hidden = this.reset.hidden = this.missing;
    this.padlock.setAttribute("aria-pressed", `${locked}`);
    if (this.missing) return;
    this.button.textContent = hasWire ? "\u25cf" : "\u25cb";
    this.button.setAttribute("aria-pressed", `${hasWire}`);
  }

  focus() {
    this.range.focus();
  }
}
