// The picture on the panel: before or after, the face or the whole photo, as large as there is
// room. Plain DOM, no host.

import { make } from "./dom.js";
import { translate } from "./translate.js";

const SIDES = [256, 384, 512, 768]; // pixels of a face that are asked for

export class Stage {
  // changed(): another view or size is wanted. hold(on): whether the picture before is wanted.
  // memory: {photo}; remember(changes): keeps that with the node.
  constructor({ changed, hold, remember }, memory) {
    Object.assign(this, { changed, hold, memory });
    this.side = SIDES[0];
    const [after, former] = [
      translate("Preview of the edited faces"), translate("The faces before the sliders"),
    ];
    this.picture = make("img", "fls-picture", { alt: after, hidden: true });
    this.former = make("img", "fls-picture", { alt: former, hidden: true });
    this.picture.draggable = this.former.draggable = false;
    this.hint = make("p", "fls-hint", {
      textContent: translate(
        "Queue the workflow once: the face appears here and follows the sliders.",
      ),
    });
    this.frame = make("div", "fls-frame");
    this.frame.append(this.hint, this.picture, this.former);
    this.before = make("button", "fls-button", {
      type: "button", textContent: translate("Before"),
    });
    this.before.title = translate(
      "Hold to see the faces before the sliders, or hold B on the panel",
    );
    this.before.setAttribute("aria-keyshortcuts", "B");
    this.whole = make("button", "fls-button", {
      type: "button", textContent: translate("Whole photo"),
    });
    this.whole.title = translate("Show the whole photo in place of the face");
    this.whole.addEventListener("click", () => {
      remember({ photo: !this.memory.photo });
      this.recall();
      this.changed();
    });
    const tools = make("div", "fls-tools");
    tools.append(this.before, this.whole);
    this.element = make("div", "fls-stage");
    this.element.append(this.frame, tools);
    this.listen();
    this.recall();
  }

  listen() {
    for (const kind of ["pointerdown", "pointerup", "pointerleave", "pointercancel", "blur"]) {
      this.before.addEventListener(kind, () => this.setHeld(kind === "pointerdown"));
    }
    this.before.addEventListener("keydown", (event) => {
      if (event.key === " " || event.key === "Enter") this.setHeld(true);
    });
    this.before.addEventListener("keyup", () => this.setHeld(false));
    this.observer = new ResizeObserver(() => this.measure());
    this.observer.observe(this.frame);
  }

  // B on the panel, but where text is typed.
  listenOn(panel) {
    panel.addEventListener("keydown", (event) => {
      const typed = ["text", "search", "number"].includes(event.target.type);
      const { key, ctrlKey, metaKey, altKey } = event;
      if (typed || key.toLowerCase() !== "b" || ctrlKey || metaKey || altKey) return;
      event.stopPropagation();
      this.setHeld(true);
    });
    panel.addEventListener("keyup", (event) => {
      if (event.key.toLowerCase() === "b") this.setHeld(false);
    });
    panel.addEventListener("focusout", ({ relatedTarget }) => {
      if (!panel.contains(relatedTarget)) this.setHeld(false);
    });
  }

  setHeld(held) {
    if (this.held === held) return;
    this.held = held;
    this.before.setAttribute("aria-pressed", `${held}`);
    if (!held) this.former.hidden = true;
    this.hold(held);
  }

  measure() {
    const { clientWidth, clientHeight } = this.frame;
    if (clientWidth === 0) return; // not on the page
    const wanted = Math.min(clientWidth, clientHeight) * (window.devicePixelRatio || 1);
    const side = SIDES.find((one) => one >= wanted - 8) ?? SIDES.at(-1);
    if (side === this.side) return;
    this.side = side;
    this.changed();
  }

  stop() {
    this.observer.disconnect();
  }

  // What the node remembers.
  recall() {
    this.whole.setAttribute("aria-pressed", `${this.memory.photo}`);
  }

  // What a request for a picture says of the view.
  get view() {
    return { photo: this.memory.photo, side: this.side };
  }

  // Whether another view is wanted than that of the picture of a run: the face, small.
  isOther() {
    return this.memory.photo || this.side !== SIDES[0];
  }

  show(url) {
    this.picture.src = url;
    this.picture.hidden = false;
    this.hint.hidden = true;
  }

  showBefore(url) {
    if (!this.held) return;
    this.former.src = url;
    this.former.hidden = false;
  }

  setBusy(busy) {
    this.picture.setAttribute("aria-busy", `${busy}`);
  }
}
