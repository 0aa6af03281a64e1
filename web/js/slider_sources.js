// Where the names of the sliders come from: the model that the node is connected to.

import { api } from "../../../scripts/api.js";
import { inputIndex } from "./slider_wires.js";

const LOADER = "FaceLatentsLoadModel";
const lists = new Map(); // model name -> promise of its rows

// The file name of the face model, found by following the wire; null where it cannot be told.
export function modelNameOf(node) {
  let origin = node;
  let slot = inputIndex(node, "face_model");
  for (let steps = 0; steps < 50 && origin; steps++) {
    origin = slot < 0 ? null : origin.getInputNode?.(slot);
    if (origin?.type !== "Reroute") break;
    slot = 0;
  }
  if (origin?.comfyClass !== LOADER) return null;
  const linked = inputIndex(origin, "model");
  if (linked >= 0 && origin.isInputConnected(linked)) return null;
  return origin.widgets?.find((widget) => widget.name === "model")?.value ?? null;
}

// The rows of a model as the server lists them; an empty list where it cannot.
export function findDirections(server, model) {
  if (model === null) return Promise.resolve([]);
  if (!lists.has(model)) {
    const address = `/face_latents/directions?model=${encodeURIComponent(model)}`;
    const rows = server.fetchApi(address)
      .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(answer.status))))
      .then((json) => json.directions)
      .catch(() => {
        lists.delete(model); // asked again next time
        return [];
      });
    lists.set(model, rows);
  }
  return lists.get(model);
}

export function forgetDirections() {
  lists.clear();
}

// The address of a picture that a run saved.
export function pictureUrl({ filename, subfolder, type }) {
  const query = new URLSearchParams({ filename, subfolder, type });
  return api.apiURL(`/view?${query}`);
}
