// Subgraphs around a node: where a wire comes from across their borders, which widgets outside set
// its inputs, and the panel of Attribute Sliders on the node that stands for them outside.

import { app } from "../../../../scripts/app.js";

const OUTSIDE = "-10"; // the host's id for what feeds a subgraph's inputs

export function allGraphs() {
  const root = app.rootGraph ?? app.graph;
  return [root, ...(root.subgraphs?.values() ?? [])];
}

// The nodes that stand for a subgraph, in all graphs.
export function nodesOf(subgraph) {
  return allGraphs().flatMap((graph) => graph.nodes ?? graph._nodes)
    .filter((node) => node.subgraph === subgraph);
}

function linkInto({ graph, inputs }, slot) {
  const id = inputs?.[slot]?.link;
  return graph?.getLink ? graph.getLink(id) : graph?.links?.[id]; // hosts without subgraphs
}

function comesFromOutside(link) {
  return `${link?.origin_id}` === OUTSIDE; // ids are numbers or texts, by the host's version
}

// The widgets that set an input: the node's own, and those of the subgraphs around it that show it.
export function widgetsOf(node, name) {
  const own = node.widgets?.filter((widget) => widget.name === name) ?? [];
  const link = linkInto(node, node.inputs?.findIndex((input) => input.name === name));
  if (!comesFromOutside(link)) return own;
  return [...own, ...nodesOf(node.graph).flatMap((outer) =>
    widgetsOf(outer, outer.inputs[link.origin_slot]?.name))];
}

// The node that feeds an input and the number of its output; null where there is none.
export function sourceOf(node, slot) {
  const { graph } = node;
  const link = linkInto(node, slot);
  if (!link) return null;
  if (comesFromOutside(link)) {
    const [outer] = nodesOf(graph);
    return outer ? sourceOf(outer, link.origin_slot) : null;
  }
  const origin = graph.getNodeById(link.origin_id);
  return origin?.subgraph ? insideOf(origin.subgraph, link.origin_slot) : origin;
}

// The node inside a subgraph that feeds one of its outputs.
function insideOf(subgraph, slot) {
  const [id] = subgraph.outputNode.slots[slot]?.linkIds ?? [];
  const link = subgraph.getLink(id);
  const origin = link && subgraph.getNodeById(link.origin_id);
  return origin?.subgraph ? insideOf(origin.subgraph, link.origin_slot) : origin ?? null;
}

// The id of a node in what the server reports: with those of the nodes that stand for its subgraphs.
export function executionId(node) {
  if (node.graph.isRootGraph !== false) return `${node.id}`;
  const [outer] = nodesOf(node.graph);
  return outer ? `${executionId(outer)}:${node.id}` : null;
}

// Puts the panel of a node onto the nodes that stand for its subgraph, up to the workflow itself.
// There is one panel: the page shows it with the graph that is open.
export function showOutside(node, element, options) {
  const [outer] = nodesOf(node.graph);
  if (!outer) return;
  const name = `sliders ${node.id}`;
  if (!outer.widgets.some((widget) => widget.element === element)) {
    const widget = outer.addDOMWidget(name, "face_latents_sliders", element, options);
    widget.serialize = false;
    const sizes = [outer.size, outer.computeSize(), node.size];
    outer.setSize([0, 1].map((side) => Math.max(...sizes.map((size) => size[side]))));
    void outer.widgets.length; // Nodes 2.0 takes note of a widget when the list is read
  }
  if (outer.graph && outer.graph.isRootGraph === false) showOutside(outer, element, options);
}

// The panel of a removed node disappears outside as well.
export function hideOutside(element) {
  for (const graph of allGraphs()) {
    for (const node of graph.nodes ?? graph._nodes) {
      if (!node.subgraph) continue;
      const widget = node.widgets.find((one) => one.element === element);
      if (widget) node.removeWidget(widget);
    }
  }
}
