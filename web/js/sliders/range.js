// How far a slider goes and where it looks natural. No DOM, no host.

import { translate } from "./translate.js";

const FINE = 0.01;
export const FARTHEST = 100; // as in nodes/sliders/move.py
// A slider goes half as far again as looks natural: enough to exaggerate, and zero to natural still
// takes two thirds of the way. Typed values may go farther.
const BEYOND = 1.5;

// The end of a slider on both sides: zero stays in the middle, and a unit is as wide to the left as
// to the right.
export function reachOf({ low, high }) {
  return BEYOND * Math.max(Math.abs(low), Math.abs(high), FINE);
}

export function roundValue(value) {
  const bounded = Math.max(-FARTHEST, Math.min(FARTHEST, value));
  return Number((Math.round(bounded / FINE) * FINE).toFixed(2));
}

export function isNatural({ low, high }, value) {
  return value === 0 || (value >= low && value <= high);
}

// What a screen reader says of a value.
export function describeValue(direction, value) {
  const short = Number(value.toFixed(2));
  const text = short > 0 ? `+${short}` : `${short}`;
  if (isNatural(direction, value)) return text;
  return translate("{text}, beyond the natural range of {low} to {high}", { ...direction, text });
}

// A value's place on a slider, from 0 at its left end to 1.
export function placeOf(direction, value) {
  return 0.5 + 0.5 * Math.max(-1, Math.min(1, value / reachOf(direction)));
}
