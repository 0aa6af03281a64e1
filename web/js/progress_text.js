// Takes the words of what a node was doing away once that is done. ComfyUI leaves them, and in Nodes
// 2.0 the node is taller for them and sticks out of its group. Notes, and what was stopped, stay.

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { allGraphs } from "./sliders/subgraph.js";
import { findWidget } from "./sliders/wires.js";

const OURS = "FaceLatents"; // what the ids of the pack's nodes start with
const TEXT = "$$node-text-preview"; // ComfyUI's name for the widget that holds the words
const DONE = ": done"; // as in nodes/host.py

function removeTexts() {
  for (const node of allGraphs().flatMap((graph) => graph.nodes ?? graph._nodes)) {
    if (!node.comfyClass?.startsWith(OURS) || !node.widgets) continue;
    const text = findWidget(node, TEXT);
    if (`${text?.value}`.endsWith(DONE)) node.removeWidget?.(text);
  }
}

app.registerExtension({
  name: "FaceLatents.ProgressText",
  setup() {
    // A node with a result before that is laid out beside the words, others as the next one begins.
    for (const kind of ["executed", "executing"]) api.addEventListener(kind, removeTexts);
  },
});
