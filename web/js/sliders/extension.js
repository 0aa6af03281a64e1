// Attribute Sliders: gives each of its nodes a panel, and keeps all of them up to date.

import { app } from "../../../../scripts/app.js";
import { api } from "../../../../scripts/api.js";
import { Controller } from "./controller.js";
import { forgetDirections } from "./sources.js";
import { loadTranslation } from "./translate.js";
import { chain } from "./wires.js";

const NODE = "FaceLatentsSliders";
const SIZE = [400, 760];
const controllers = new Set();

function refreshAll() {
  for (const controller of controllers) controller.refresh();
}

const LANGUAGE = "Comfy.Locale";
const translateAll = () => loadTranslation(api, app.extensionManager?.setting?.get(LANGUAGE));

app.registerExtension({
  name: "FaceLatents.AttributeSliders",
  init: translateAll,
  setup() { // panels made from then on speak the new language
    app.ui.settings.addEventListener(`${LANGUAGE}.change`, () =>
      setTimeout(() => translateAll().then(forgetDirections), 100));
  },
  nodeCreated(node) {
    if (node.comfyClass !== NODE) return;
    const controller = new Controller(node);
    controllers.add(controller);
    node.onRemoved = chain(node.onRemoved, () => controllers.delete(controller));
    const [width, height] = node.size;
    node.setSize([Math.max(width, SIZE[0]), Math.max(height, SIZE[1])]);
    requestAnimationFrame(() => controller.refresh());
  },
  afterConfigureGraph: refreshAll,
  onNodeOutputsUpdated: refreshAll, // the host found the last run again, after a change of tabs
  refreshComboInNodes() {
    forgetDirections();
    for (const controller of controllers) controller.model = undefined;
    refreshAll();
  },
});
