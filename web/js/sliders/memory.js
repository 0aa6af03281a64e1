// What a node remembers of its panel, beside the values: in its properties, which a workflow saves.

const PROPERTY = "face_latents_panel";
const searches = new Map(); // a search outlives its node through undo, but not the page

export class PanelMemory {
  constructor(node) {
    this.node = node;
  }

  get held() {
    const held = this.node.properties?.[PROPERTY];
    return held !== null && typeof held === "object" ? held : {};
  }

  // Names of the groups that are open; null where the user folded none yet.
  get open() {
    const { open } = this.held;
    return Array.isArray(open) ? open : null;
  }

  // Names of the sliders that presets and the like leave as they are.
  get locked() {
    const { locked } = this.held;
    return Array.isArray(locked) ? locked : [];
  }

  // Whether the whole photo is shown.
  get photo() {
    return this.held.photo === true;
  }

  get search() {
    return searches.get(this.key()) ?? "";
  }

  key() {
    const { node } = this;
    return node.graph ? `${node.graph.id}:${node.id}` : null;
  }

  set({ search, ...kept }) {
    if (search !== undefined) searches.set(this.key(), search);
    if (Object.keys(kept).length === 0) return;
    this.node.properties ??= {};
    this.node.properties[PROPERTY] = { ...this.held, ...kept };
  }
}
