// The picture before the sliders: asked for once a run and view, and kept.

export class BeforePicture {
  // send(body) -> Promise<Response>
  constructor(send) {
    this.send = send;
    this.key = null;
    this.url = null;
  }

  // Its address; null where there is none. body: {id, photo, side}
  async find(body) {
    const key = JSON.stringify(body);
    if (key === this.key) return this.url;
    try {
      const answer = await this.send({ ...body, strengths: {}, before: true });
      if (!answer.ok) return null;
      const picture = await answer.blob();
      this.stop();
      this.key = key;
      this.url = URL.createObjectURL(picture);
      return this.url;
    } catch {
      return null; // the preview says what is wrong when a slider moves
    }
  }

  stop() {
    if (this.url) URL.revokeObjectURL(this.url);
    this.key = this.url = null;
  }
}
