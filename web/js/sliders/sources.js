// Where the names of the sliders come from: the model that the node is connected to.

import { app } from "../../../../scripts/app.js";
import { api } from "../../../../scripts/api.js";
import { executionId, sourceOf } from "./subgraph.js";
import { translate } from "./translate.js";
import { findWidget, inputIndex, isConnected } from "./wires.js";

const LOADER = "FaceLatentsLoadModel";
const DIRECTION_LOADER = "FaceLatentsLoadDirection";
const REMEMBERED = 32; // runs that are looked through for the last one of a node
const lists = new Map(); // model name -> promise of its rows

// What is chosen on the node that an input comes from, where that is a node of `kind`; null where
// it cannot be told.
function chosenOn(node, input, kind, choice) {
  let origin = sourceOf(node, inputIndex(node, input));
  for (let steps = 0; steps < 50 && origin?.type === "Reroute"; steps++) {
    origin = sourceOf(origin, 0);
  }
  if (origin?.comfyClass !== kind || isConnected(origin, choice)) return null;
  return { origin, value: findWidget(origin, choice)?.value ?? null };
}

// The file name of the face model, found by following the wire; null where it cannot be told.
export function modelNameOf(node) {
  return chosenOn(node, "face_model", LOADER, "model")?.value ?? null;
}

// The row of the direction that an input brings; undefined where it cannot be told.
export async function directionOf(server, node, input) {
  const chosen = chosenOn(node, input, DIRECTION_LOADER, "direction");
  if (!chosen) return undefined;
  const rows = await findDirections(server, modelNameOf(chosen.origin));
  return rows.find(({ name, source }) =>
    (source === "file" ? `directions/${name}.safetensors` : name) === chosen.value);
}

// The rows of a model as the server lists them; an empty list where it cannot.
export function findDirections(server, model) {
  if (model === null) return Promise.resolve([]);
  if (!lists.has(model)) {
    const address = `/face_latents/directions?model=${encodeURIComponent(model)}`;
    const rows = server.fetchApi(address)
      .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(answer.status))))
      .then((json) => json.directions.map((row) => (
        row.source === "model" ? { ...row, label: translate(row.label) } : row)))
      .catch(() => {
        lists.delete(model); // asked again next time
        return [];
      });
    lists.set(model, rows);
  }
  return lists.get(model);
}

// The picture of a direction, and what it shows; null where it has none.
export function thumbnailOf(model, row) {
  if (!row?.thumbnail) return null;
  const query = new URLSearchParams({ model, direction: row.thumbnail });
  return {
    url: api.apiURL(`/face_latents/thumbnail?${query}`),
    text: translate("{label}: {low}, 0 and {high}", row),
  };
}

export function forgetDirections() {
  lists.clear();
}

// The address of a picture that a run saved.
export function pictureUrl({ filename, subfolder, type }) {
  const query = new URLSearchParams({ filename, subfolder, type });
  return api.apiURL(`/view?${query}`);
}

// What a node reported in its outputs; null where it did not run.
export function newestReport(output) {
  return output?.face_latents_sliders?.at(-1) ?? null;
}

// What the last run of a node reported, as the host holds it.
export function lastReport(node) {
  const id = node.graph.isRootGraph === false ? `${node.graph.id}:${node.id}` : `${node.id}`;
  return newestReport(app.nodeOutputs?.[id]);
}

// The same from the server, which remembers runs when the page is loaded anew.
export async function reportInHistory(node) {
  const { id } = node.graph.rootGraph ?? node.graph;
  const key = executionId(node);
  try {
    const answer = await api.fetchApi(`/history?max_items=${REMEMBERED}`);
    const runs = Object.values(await answer.json()).reverse(); // the newest first
    const run = runs.find(({ prompt, outputs }) =>
      prompt?.[3]?.extra_pnginfo?.workflow?.id === id && newestReport(outputs?.[key]));
    return newestReport(run?.outputs[key]);
  } catch {
    return null; // the node then asks for a run, as it does without a history
  }
}
