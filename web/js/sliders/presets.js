// Presets: named positions of sliders. What they set, what chance sets, and where they are kept.
// No DOM.

import { groupOf } from "./groups.js";
import { FARTHEST, roundValue } from "./range.js";

const SHIPPED = new URL("../../presets.json", import.meta.url).href;
const FILE = "face_latents/presets.json"; // in the host's folder of the user's own data
export const LONGEST_NAME = 60;

// What a preset changes: it sets the groups that it names a slider of, and leaves the others, so
// that a look and an expression go together. Locked sliders stay.
// values: {name: strength}; directions: those that can be set; locked: names.
// Returns {changes, leftOut}: new values by name, and names that the model does not have.
export function applyPreset(values, directions, locked) {
  const known = new Set(directions.map(({ name }) => name));
  const groups = new Set(directions.filter(({ name }) => name in values).map(groupOf));
  const set = directions.filter((one) => groups.has(groupOf(one)) && !locked.includes(one.name));
  return {
    changes: Object.fromEntries(set.map(({ name }) => [name, values[name] ?? 0])),
    leftOut: Object.keys(values).filter((name) => !known.has(name)),
  };
}

// Values within the natural range, small ones more often than large ones, and the smaller the more
// of them there are: many sliders near their ends make a face that nobody has.
export function randomValues(directions, locked, random = Math.random) {
  const free = directions.filter(({ name }) => !locked.includes(name));
  const calm = Math.min(1, 2 / Math.sqrt(free.length)); // looked at: 17 sliders halve
  return Object.fromEntries(free.map(({ name, low, high }) => {
    const share = calm * (random() + random() - 1);
    return [name, roundValue(share < 0 ? -share * Math.min(low, 0) : share * Math.max(high, 0))];
  }));
}

// A file of presets, `{"laugh": {"smile": 2}}`, as a Map.
// Throws for anything else: nothing may be saved over a file that was not understood.
export function readPresets(json) {
  const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  const isStrength = (value) => Number.isFinite(value) && Math.abs(value) <= FARTHEST;
  if (!isObject(json)) throw new Error("it is no list of presets");
  const found = new Map(Object.entries(json));
  for (const [name, values] of found) {
    if (!isObject(values) || !Object.values(values).every(isStrength)) {
      throw new Error(`preset '${name}' is no list of strengths`);
    }
  }
  return found;
}

// Those of the pack; none where they cannot be read.
export async function shippedPresets() {
  try {
    return readPresets(await (await fetch(SHIPPED)).json());
  } catch (error) {
    console.error("Attribute Sliders: no presets.", error);
    return new Map();
  }
}

// The user's own, in the host's folder of user data. `server` is the host's api.
export class OwnPresets {
  constructor(server) {
    this.server = server;
    this.watchers = new Set(); // called after a change
  }

  // Throws where they cannot be read.
  async load() {
    const answer = await this.server.getUserData(FILE);
    if (answer.status === 404) return new Map();
    if (answer.status !== 200) throw new Error(`the host answered ${answer.status}`);
    return readPresets(await answer.json());
  }

  async save(name, values) {
    await this.change((presets) => presets.set(name, values));
  }

  async remove(name) {
    await this.change((presets) => presets.delete(name));
  }

  // Reads the file again before: another window may have written it.
  async change(act) {
    const presets = await this.load();
    act(presets);
    await this.server.storeUserData(FILE, Object.fromEntries(presets));
    await Promise.all([...this.watchers].map((watcher) => watcher()));
  }
}
