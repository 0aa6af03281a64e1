// The line of the panel to choose, save and delete presets, and to let chance choose.
// Plain DOM, no host.

import { make } from "./dom.js";
import { LONGEST_NAME, shippedPresets } from "./presets.js";
import { translate } from "./translate.js";

const OWN = "own:"; // tells the user's presets from shipped ones of the same name

function textButton(text, title, press) {
  const button = make("button", "fls-button", { type: "button", textContent: text, title });
  button.addEventListener("click", press);
  return button;
}

export class PresetBar {
  // apply(values): returns what there is to say; current(): values to save; randomise();
  // own: OwnPresets
  constructor({ apply, current, randomise }, own) {
    Object.assign(this, { apply, current, own });
    this.presets = new Map();
    this.select = make("select", "fls-select");
    this.select.setAttribute("aria-label", translate("Preset"));
    this.select.addEventListener("change", () => this.chosen());
    this.save = textButton(translate("Save"),
      translate("Save the sliders as a preset of your own"), () => this.ask(true));
    this.remove = textButton(translate("Delete"),
      translate("Delete the chosen preset of your own"), () => this.deleted());
    const chance = textButton(translate("Randomise"),
      translate("Set the sliders of the open groups by chance, within their natural range"),
      randomise);
    this.line = make("div", "fls-bar");
    this.line.append(this.select, this.save, this.remove, chance);
    this.name = make("input", "fls-search", {
      type: "text", maxLength: LONGEST_NAME, placeholder: translate("Name of the preset"),
    });
    this.name.setAttribute("aria-label", this.name.placeholder);
    this.name.addEventListener("keydown", (event) => {
      event.stopPropagation(); // letters are shortcuts of the host
      if (event.key === "Enter") this.named();
      if (event.key === "Escape") this.ask(false);
    });
    this.question = make("div", "fls-bar", { hidden: true });
    this.question.append(this.name,
      textButton(translate("Save preset"), "", () => this.named()),
      textButton(translate("Cancel"), "", () => this.ask(false)));
    this.note = make("div", "fls-note");
    this.note.setAttribute("role", "status");
    this.element = make("div", "fls-presets");
    this.element.append(this.line, this.question, this.note);
    this.watch = () => this.load();
    own.watchers.add(this.watch);
    this.load();
  }

  stop() {
    this.own.watchers.delete(this.watch);
  }

  say(text) {
    this.note.textContent = text;
  }

  async load() {
    const shipped = await shippedPresets();
    let own = new Map();
    try {
      own = await this.own.load();
    } catch (error) {
      this.say(translate("The presets in the folder of your ComfyUI user, " +
        "face_latents/presets.json, cannot be read: {message}.", { message: error.message }));
    }
    this.presets = new Map([
      ...shipped, ...[...own].map(([name, values]) => [OWN + name, values]),
    ]);
    this.fill();
  }

  // Which presets can be chosen: those that name a slider there is.
  // names: of the sliders
  setSliders(names) {
    this.sliders = names;
    this.fill();
  }

  fill() {
    const { value } = this.select;
    const usable = [...this.presets].filter(([, values]) =>
      Object.keys(values).some((name) => this.sliders?.has(name)));
    const labels = [[translate("Presets"), false], [translate("Your own"), true]];
    const groups = labels.map(([label, own]) => {
      const group = make("optgroup", "", { label });
      group.append(...usable.filter(([key]) => key.startsWith(OWN) === own)
        .map(([key]) => new Option(own ? key.slice(OWN.length) : translate(key), key)));
      return group;
    });
    this.select.replaceChildren(new Option(translate("Presets ..."), ""),
      ...groups.filter((group) => group.children.length));
    this.select.value = usable.some(([key]) => key === value) ? value : "";
    this.allow();
  }

  allow() {
    this.remove.disabled = !this.select.value.startsWith(OWN);
  }

  chosen() {
    this.allow();
    const values = this.presets.get(this.select.value);
    if (values) this.say(this.apply(values));
  }

  ask(open) {
    this.question.hidden = !open;
    this.line.hidden = open;
    if (!open) {
      this.save.focus();
      return;
    }
    const { value } = this.select;
    this.name.value = value.startsWith(OWN) ? value.slice(OWN.length) : "";
    this.name.focus();
  }

  async named() {
    const name = this.name.value.trim();
    if (!name) return;
    this.ask(false);
    await this.try(() => this.own.save(name, this.current()));
    this.select.value = OWN + name;
    this.allow();
  }

  async deleted() {
    const name = this.select.value.slice(OWN.length);
    await this.try(() => this.own.remove(name));
  }

  async try(act) {
    this.say("");
    try {
      await act();
    } catch (error) {
      this.say(translate("The presets in the folder of your ComfyUI user, " +
        "face_latents/presets.json, were not changed: {message}.", { message: error.message }));
    }
  }
}
