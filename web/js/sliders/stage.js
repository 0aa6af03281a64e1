// The picture on the panel. Plain DOM, no host.

import { make } from "./dom.js";

const HINT = "Queue the workflow once: the face appears here and follows the sliders.";

export class Stage {
  constructor() {
    this.element = make("div", "fls-stage");
    this.picture = make("img", "fls-picture", { alt: "Preview of the edited faces", hidden: true });
    this.picture.draggable = false;
    this.hint = make("p", "fls-hint", { textContent: HINT });
    this.element.append(this.hint, this.picture);
  }

  show(url) {
    this.picture.src = url;
    this.picture.hidden = false;
    this.hint.hidden = true;
  }

  setBusy(busy) {
    this.picture.setAttribute("aria-busy", `${busy}`);
  }
}
