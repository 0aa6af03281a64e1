// Add Direction and Remove Feature: how far the slider of the strength goes, on the node and
// wherever a subgraph shows it. What a node accepts, by wire or in a saved workflow, stays as wide
// as it is.

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { reachOf } from "./sliders/range.js";
import { directionOf } from "./sliders/sources.js";
import { widgetsOf } from "./sliders/subgraph.js";
import { chain, findWidget } from "./sliders/wires.js";

const DIRECTION_INPUTS = {
  FaceLatentsAddDirection: "direction",
  FaceLatentsRemoveFeature: "feature",
};
const LOADER = "FaceLatentsLoadDirection";
const strengths = new Set();

// The ends of a slider for the direction of a row. On the node they are those of Attribute Sliders;
// a subgraph's slider, which cannot show what lies beyond, ends where the face looks natural. A
// value that lies farther out, of an older workflow, keeps its place.
function limitsOf(row, { value }, isInside) {
  const [low, high] = isInside ? [-reachOf(row), reachOf(row)] : [row.low, row.high];
  return { min: Math.min(low, value), max: Math.max(high, value) };
}

class Strength {
  constructor(node) {
    this.node = node;
    const { min, max } = findWidget(node, "strength").options;
    this.declared = { min, max };
    node.onConnectionsChange = chain(node.onConnectionsChange, refreshLater);
    node.onConfigure = chain(node.onConfigure, refreshLater);
    node.onRemoved = chain(node.onRemoved, () => strengths.delete(this));
  }

  async refresh() {
    const { node, declared } = this;
    if (!node.graph) return;
    const row = await directionOf(api, node, DIRECTION_INPUTS[node.comfyClass]);
    if (!node.graph) return; // removed meanwhile
    for (const widget of widgetsOf(node, "strength")) {
      const isInside = node.widgets.includes(widget);
      Object.assign(widget.options, row ? limitsOf(row, widget, isInside) : declared);
    }
    node.graph.setDirtyCanvas?.(true, false);
  }
}

let waiting = false;

// The links of a workflow are complete only after all its nodes were made.
function refreshLater() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    for (const one of strengths) one.refresh();
  });
}

app.registerExtension({
  name: "FaceLatents.StrengthRange",
  nodeCreated(node) {
    if (node.comfyClass in DIRECTION_INPUTS) {
      strengths.add(new Strength(node));
    } else if (node.comfyClass === LOADER) {
      const choice = findWidget(node, "direction");
      choice.callback = chain(choice.callback, refreshLater);
    } else if (!node.subgraph) return;
    refreshLater();
  },
  afterConfigureGraph: refreshLater,
});
