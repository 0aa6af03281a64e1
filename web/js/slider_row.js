// One slider: name, track with zero in the middle, number, plug. Plain DOM, no host.

const STEP = 0.1;
const FINE = 0.01;
const PAGE = 1;
const FARTHEST = 100; // as in nodes/sliders_move.py
const MOVES = {
  ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10,
};
const RESETS = new Set(["Home", "0", "Delete", "Backspace"]);

let count = 0;

export function make(tag, className, properties = {}) {
  return Object.assign(document.createElement(tag), { className, ...properties });
}

function rounded(value) {
  return Math.round(Math.max(-FARTHEST, Math.min(FARTHEST, value)) / FINE) * FINE;
}

function text(value) {
  const short = Number(value.toFixed(2));
  return short > 0 ? `+${short}` : `${short}`;
}

export class SliderRow {
  // direction: {name, label, unit, low, high, source}
  // change(value, settled), wire(), remove()
  constructor(direction, missing, { change, wire, remove }) {
    this.direction = direction;
    this.missing = missing;
    this.change = change;
    this.value = 0;
    // The larger half of the natural range on both sides: zero stays in the middle, and a unit is
    // as wide to the left as to the right.
    this.reach = Math.max(Math.abs(direction.low), Math.abs(direction.high), FINE);
    const id = `face-latents-slider-${++count}`;
    const file = direction.source === "file" ? `Your file ${direction.name}\n` : "";
    const hint = missing
      ? "This direction does not exist for the model: it is left out."
      : `${direction.unit || direction.name}\n${file}Looks natural from ${direction.low} to ` +
        `${direction.high}. Double-click for zero.`;
    this.element = make("div", `fls-row${missing ? " fls-missing" : ""}`, { title: hint });
    this.element.dataset.name = direction.name;
    this.label = make("label", "fls-label", { htmlFor: id, textContent: direction.label });
    this.range = make("input", "fls-range", {
      id, type: "range", min: -this.reach, max: this.reach, step: FINE,
    });
    this.range.setAttribute("aria-description", hint);
    this.number = make("input", "fls-number", { type: "number", step: STEP });
    this.number.setAttribute("aria-label", `${direction.label}, exact value`);
    const name = missing ? `Remove ${direction.label}` : `Set ${direction.label} by wire`;
    this.button = make("button", "fls-plug", { type: "button", title: name });
    this.button.setAttribute("aria-label", name);
    this.button.textContent = missing ? "\u00d7" : "\u25cb";
    this.button.addEventListener("click", missing ? remove : wire);
    this.element.append(this.label, this.range, this.number, this.button);
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
    } else return;
    event.preventDefault();
    event.stopPropagation(); // Delete would remove the node
  }

  set(value, settled) {
    if (this.fixed) return;
    this.change(Number(rounded(value).toFixed(2)), settled);
  }

  // fixed: the value comes by wire and cannot be dragged.
  show(value, { hasWire, fixed }) {
    this.value = value;
    this.fixed = fixed || this.missing;
    this.range.value = value;
    this.range.disabled = this.number.disabled = this.fixed;
    if (document.activeElement !== this.number) this.number.value = Number(value.toFixed(2));
    this.range.setAttribute("aria-valuetext", text(value));
    const share = Math.max(-1, Math.min(1, value / this.reach)) * 50;
    const style = this.range.style;
    style.setProperty("--fls-from", `${50 + Math.min(share, 0)}%`);
    style.setProperty("--fls-to", `${50 + Math.max(share, 0)}%`);
    const { low, high } = this.direction;
    this.element.classList.toggle("fls-beyond", value < low || value > high);
    this.element.classList.toggle("fls-moved", value !== 0);
    if (this.missing) return;
    this.button.textContent = hasWire ? "\u25cf" : "\u25cb";
    this.button.setAttribute("aria-pressed", hasWire ? "true" : "false");
  }

  focus() {
    this.range.focus();
  }
}
