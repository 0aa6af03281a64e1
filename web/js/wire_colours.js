// Colours for the wires and sockets of this pack's own types, in both renderers. Colours that the
// user's palette gives them win.

import { app } from "../../../scripts/app.js";

const COLOURS = {
  FACE_MODEL: "#9575cd",
  FACE_LATENT: "#ff8a65",
  FACE_DIRECTION: "#4db6ac",
  LATENT_BASIS: "#d4b53c",
};
const PALETTE = "Comfy.ColorPalette";

// Nodes 2.0 colours sockets by these properties; a palette sets them on the element, which wins.
function addProperties() {
  const properties = Object.entries(COLOURS)
    .map(([type, colour]) => `--color-datatype-${type}: ${colour};`);
  const style = document.createElement("style");
  style.textContent = `:root { ${properties.join(" ")} }`;
  document.head.append(style);
}

// The classic sockets, and the wires of both renderers. A palette empties the colours it lacks.
function paint() {
  const { canvas } = app;
  if (!canvas) return;
  const held = [canvas.default_connection_color_byType, canvas.constructor.link_type_colors];
  for (const colours of held) {
    for (const [type, colour] of Object.entries(COLOURS)) colours[type] ||= colour;
  }
  canvas.setDirty(true, true);
}

app.registerExtension({
  name: "FaceLatents.WireColours",
  setup() {
    addProperties();
    paint();
    app.ui.settings.addEventListener(`${PALETTE}.change`, () => setTimeout(paint, 100));
  },
  afterConfigureGraph: paint,
});
