// Load Direction: shows the chosen direction (minus, zero, plus) on the node.

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { make } from "./sliders/dom.js";
import { findDirections, modelNameOf, thumbnailOf } from "./sliders/sources.js";
import { chain, findWidget } from "./sliders/wires.js";

const NODE = "FaceLatentsLoadDirection";
const HEIGHT = 84;

const nodes = new Set();

class ChosenDirection {
  constructor(node) {
    this.node = node;
    this.picture = make("img", "", { draggable: false, hidden: true });
    this.picture.style.cssText = "width: 100%; height: 100%; object-fit: contain;";
    const getHeight = () => HEIGHT;
    const widget = node.addDOMWidget("thumbnail", "face_latents_thumbnail", this.picture, {
      serialize: false, hideOnZoom: false, getMinHeight: getHeight, getMaxHeight: getHeight,
    });
    widget.serialize = false;
    const choice = findWidget(node, "direction");
    choice.callback = chain(choice.callback, () => this.refresh());
    node.onConnectionsChange = chain(node.onConnectionsChange, () => this.later());
    node.onConfigure = chain(node.onConfigure, () => this.later());
    node.onRemoved = chain(node.onRemoved, () => nodes.delete(this));
    this.later();
  }

  later() { // the links of a workflow are complete only after all its nodes were made
    requestAnimationFrame(() => this.refresh());
  }

  async refresh() {
    if (!this.node.graph) return;
    const model = modelNameOf(this.node);
    const { value } = findWidget(this.node, "direction");
    const rows = await findDirections(api, model);
    const found = thumbnailOf(model, rows.find((row) => row.thumbnail === value));
    this.picture.hidden = !found;
    if (!found) return;
    this.picture.src = found.url;
    this.picture.alt = this.picture.title = found.text;
  }
}

app.registerExtension({
  name: "FaceLatents.DirectionThumbnail",
  nodeCreated(node) {
    if (node.comfyClass === NODE) nodes.add(new ChosenDirection(node));
  },
  afterConfigureGraph() {
    for (const one of nodes) one.later();
  },
});
