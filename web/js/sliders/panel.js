// The panel on the node: the picture, the sliders, and what there is to say. Plain DOM, no host.

import { make } from "./dom.js";
import { SliderList } from "./list.js";
import { PresetBar } from "./preset_bar.js";
import { applyPreset, randomValues } from "./presets.js";
import { Stage } from "./stage.js";
import { Thumbnail } from "./thumbnail.js";
import { translate } from "./translate.js";

const STYLE = new URL("../../css/sliders.css", import.meta.url).href;

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
  // view(): the picture is wanted in another view or size. hold(on): the one before is wanted.
  // noteChange(): something else that a workflow saves was changed. picture(direction): what shows
  // it, {url, text} or null.
  // memory: what the node remembers of its panel, see memory.js. own: the user's presets.
  constructor({ change, wire, enter, keepsOthers, view, hold, noteChange, picture }, memory, own) {
    addStyle();
    this.memory = memory;
    this.actions = { change, keepsOthers, noteChange };
    this.values = {};
    this.wired = new Map();
    this.driven = {};
    this.byWire = false;
    const remember = (changes) => this.remember(changes);
    this.stage = new Stage({ changed: view, hold, remember }, memory);
    this.list = new SliderList({
      change: (name, value, settled) => this.changeSome({ [name]: value }, settled),
      lock: (name) => this.lock(name),
      wire,
      remove: (name) => this.removed(name),
      reset: (names) => this.reset(names),
      remember,
    }, memory);
    this.presets = new PresetBar({
      apply: (values) => this.applyPreset(values),
      current: () => this.toSave(false),
      randomise: () => this.randomise(),
    }, own);
    this.status = make("div", "fls-status");
    this.status.setAttribute("role", "status");
    this.resetAll = make("button", "fls-button", {
      type: "button", textContent: translate("Reset all"),
    });
    this.resetAll.title = translate("Set all sliders to zero that are not locked");
    this.resetAll.addEventListener("click", () => this.reset(Object.keys(this.values)));
    const bar = make("div", "fls-bar");
    bar.append(this.list.search, this.resetAll);
    const side = make("div", "fls-side");
    side.append(this.presets.element, bar, this.status, this.list.element);
    const layout = make("div", "fls-layout");
    layout.append(this.stage.element, side);
    this.element = make("div", "face-latents-sliders");
    this.element.setAttribute("role", "group");
    this.element.setAttribute("aria-label", translate("Attribute sliders"));
    this.element.append(layout);
    this.thumbnail = new Thumbnail(this.element, this.list.element,
      ({ dataset }) => picture(this.list.rows.get(dataset.name).direction));
    this.stage.listenOn(this.element);
    this.element.addEventListener("pointerenter", enter);
    this.element.addEventListener("focusin", enter);
    for (const kind of ["pointerdown", "mousedown", "dblclick", "contextmenu"]) {
      // Neither renderer should take a drag on a slider for one of the node.
      this.element.addEventListener(kind, (event) => event.stopPropagation());
    }
  }

  isEmpty() {
    return this.list.rows.size === 0;
  }

  // directions: as SliderList.setDirections
  setDirections(directions) {
    this.list.setDirections(directions, this.values, directions.length > 0);
    this.presets.setSliders(new Set(directions.map(({ name }) => name)));
    this.show();
  }

  setValues(values) {
    this.values = { ...values };
    this.list.setValues(this.values);
    this.show();
  }

  // wired: name -> whether its input is connected; driven: values of the last run.
  setWired(wired, driven) {
    this.wired = wired;
    this.driven = driven;
    this.show();
  }

  // Whether all values come by wire; `values` are those of the last run.
  setByWire(byWire, values) {
    this.byWire = byWire;
    this.valuesByWire = values;
    this.resetAll.disabled = byWire;
    this.show();
  }

  show() {
    this.list.show((row) => {
      const { name } = row.direction;
      const connected = this.wired.get(name) === true;
      let value = this.byWire ? this.valuesByWire[name] : this.values[name];
      if (connected) value = this.driven[name] ?? value;
      row.show(value ?? 0, {
        hasWire: this.wired.has(name),
        fixed: connected || this.byWire,
        locked: this.memory.locked.includes(name),
      });
    });
  }

  remember(changes) {
    this.memory.set(changes);
    this.actions.noteChange();
  }

  lock(name) {
    const { locked } = this.memory;
    const others = locked.filter((one) => one !== name);
    this.remember({ locked: others.length < locked.length ? others : [...locked, name] });
    this.show();
  }

  // The directions that can be set: not those that are missing, or come by wire.
  settable(directions) {
    if (this.byWire) return [];
    return directions.filter(({ name, source }) =>
      source !== "missing" && this.wired.get(name) !== true);
  }

  // Returns what there is to say.
  applyPreset(values) {
    const all = [...this.list.rows.values()].map((row) => row.direction);
    const { changes, leftOut } = applyPreset(values, this.settable(all), this.memory.locked);
    this.changeSome(changes, true);
    if (leftOut.length === 0) return "";
    return translate("Left out, as it cannot be set here: {names}.", { names: leftOut.join(", ") });
  }

  randomise() {
    const directions = this.settable(this.list.visible());
    this.changeSome(randomValues(directions, this.memory.locked), true);
  }

  changeSome(values, settled) {
    Object.assign(this.values, values);
    this.show();
    this.actions.change(this.toSave(), settled);
  }

  reset(names) {
    if (this.byWire) return;
    const free = names.filter((name) => !this.memory.locked.includes(name));
    this.changeSome(Object.fromEntries(free.map((name) => [name, 0])), true);
  }

  removed(name) {
    delete this.values[name];
    this.list.remove(name, this.values);
    this.changeSome({}, true);
  }

  toSave(keepsOthers = this.actions.keepsOthers()) {
    const directions = [...this.list.rows.values()].map((row) => row.direction);
    return valuesToSave(directions, this.values, keepsOthers);
  }

  stop() {
    this.presets.stop();
    this.stage.stop();
    this.thumbnail.hide();
  }

  say(text) {
    if (text === this.status.textContent) return;
    this.status.textContent = text;
    this.status.title = text;
  }
}
