// Template cards by name: ComfyUI lists those of a pack as the file system happens to give them, so
// that workflows "With own weights" stood before the ones that run at once.

import { api } from "../../../scripts/api.js";

const PACK = decodeURIComponent(new URL("..", import.meta.url).pathname.split("/").at(-2));

const list = api.getWorkflowTemplates;
if (list) {
  api.getWorkflowTemplates = async function (...given) {
    const cards = await list.apply(this, given);
    cards[PACK]?.sort?.((one, other) => one.localeCompare(other, "en"));
    return cards;
  };
}
