// Inputs of the node: finding them, and adding one for a slider that a wire should set.

const PREFIX = "set_"; // as in nodes/sliders.py

export function findWidget(node, name) {
  return node.widgets.find((widget) => widget.name === name);
}

export function inputIndex(node, name) {
  return node.inputs?.findIndex((input) => input.name === name) ?? -1;
}

// Whether something is connected to an input. The host throws for a node that is in no graph: while
// it is loaded, and after it was removed.
export function isConnected(node, name) {
  const index = inputIndex(node, name);
  return index >= 0 && !!node.graph && node.isInputConnected(index);
}

// Calls the function that was there before, then `more`. For one node or widget, never a prototype.
export function chain(before, more) {
  return function (...values) {
    const result = before?.apply(this, values);
    more(...values);
    return result;
  };
}

// Names of the sliders that have an input, and whether something is connected to it.
export function wiredSliders(node) {
  const found = new Map();
  for (const { name } of node.inputs ?? []) {
    if (name.startsWith(PREFIX)) found.set(name.slice(PREFIX.length), isConnected(node, name));
  }
  return found;
}

export function addWire(node, name, label) {
  const size = [...node.size];
  const input = node.addInput(PREFIX + name, "FLOAT");
  if (input) input.label = label;
  node.setSize([size[0], Math.max(size[1], node.computeSize()[1])]);
}

export function removeWire(node, name) {
  const index = inputIndex(node, PREFIX + name);
  if (index >= 0) node.removeInput(index);
}
