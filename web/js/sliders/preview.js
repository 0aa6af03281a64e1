// Asks the server for the picture of the newest slider positions: one request at a time, at most one
// per drawn frame, quick drafts while a slider moves and the exact picture when it rests.

import { translate } from "./translate.js";

const REST = 150; // ms without a move, after which the exact picture is asked for
const MOST_RETRIES = 3;

export class LivePreview {
  // send(body) -> Promise<Response>; show(url); say(text); work(pending): a picture is on its way
  constructor({ send, show, say, work }) {
    Object.assign(this, { send, show, say, work });
    this.sequence = 0;
    this.wanted = null; // {body, settled} that still has to be sent
    this.busy = false;
    this.frame = 0;
    this.timer = 0;
    this.retries = 0;
    this.from = 0; // answers up to this sequence number are stale
    this.url = null;
  }

  // body: {id, strengths, keep_others}; settled: the sliders rest.
  ask(body, settled) {
    clearTimeout(this.timer);
    this.wanted = { body, settled };
    this.retries = 0;
    this.work(true);
    if (!this.busy && !this.frame) this.request();
  }

  // Forget what was asked for: its answer is not shown any more.
  drop() {
    clearTimeout(this.timer);
    this.wanted = null;
    this.from = this.sequence;
    this.work(false);
  }

  stop() {
    this.drop();
    cancelAnimationFrame(this.frame);
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = null;
  }

  // What came in while a request was under way goes out with the next frame.
  schedule() {
    if (this.busy || this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      if (!this.busy && this.wanted) this.request();
    });
  }

  async request() {
    const { body, settled } = this.wanted;
    this.wanted = null;
    this.busy = true;
    const sequence = ++this.sequence;
    try {
      const answer = await this.send({ ...body, sequence, draft: !settled });
      const picture = answer.ok ? await answer.blob() : await answer.text();
      if (sequence > this.from) this.answered(answer, picture, body, settled);
    } catch (error) {
      if (sequence > this.from) {
        this.giveUp(translate("The preview cannot be reached ({message}).", error));
      }
    } finally {
      this.busy = false;
      if (this.wanted) this.schedule();
    }
  }

  answered(answer, picture, body, settled) {
    if (answer.ok) {
      const old = this.url;
      this.url = URL.createObjectURL(picture);
      this.show(this.url);
      this.say("");
      if (old) setTimeout(() => URL.revokeObjectURL(old), 1000);
      if (this.wanted) return;
      if (settled) this.work(false);
      else this.timer = setTimeout(() => this.ask(body, true), REST);
    } else if ((answer.status === 409 || answer.status === 503) && !this.wanted) {
      // Another window asked for the same faces, or the model is being moved: once more.
      if (this.retries++ < MOST_RETRIES) {
        this.timer = setTimeout(() => {
          this.wanted ??= { body, settled };
          this.schedule();
        }, REST);
      } else this.giveUp(picture);
    } else if (!this.wanted) this.giveUp(picture);
  }

  giveUp(text) {
    this.say(text);
    this.work(false);
  }
}
