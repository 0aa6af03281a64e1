// What the tests of Attribute Sliders share: a page with the host in it, and questions to the node.

import path from "node:path";
import { launch } from "./launch.mjs";

// Runs in the page: what the tests ask the node, its panel and its route.
function addHelpers() {
  const node = () => window.app.graph._nodes.find((one) => one.type === "FaceLatentsSliders");
  const panel = () => document.querySelector(".face-latents-sliders");
  const range = (name) => panel().querySelector(`[data-name="${name}"] input[type=range]`);
  const picture = () => panel().querySelector("img");
  const settled = (image, act) => new Promise((done, fail) => {
    const timer = setTimeout(() => fail(new Error("no new picture in 30 s")), 30000);
    image.addEventListener("load", () => { clearTimeout(timer); done(); }, { once: true });
    act();
  });
  const pixels = (image) => {
    const canvas = new OffscreenCanvas(image.naturalWidth ?? image.width, image.naturalHeight ??
      image.height);
    const drawing = canvas.getContext("2d");
    drawing.drawImage(image, 0, 0);
    const { data } = drawing.getImageData(0, 0, canvas.width, canvas.height);
    return `${canvas.width} x ${canvas.height}: ${data.reduce((a, b) => (a * 31 + b) % 1e9, 7)}`;
  };
  const set = (name, value, kind = "input") => {
    range(name).value = value;
    range(name).dispatchEvent(new Event(kind, { bubbles: true }));
  };
  const values = () => JSON.parse(node().widgets.find((one) => one.name === "strengths").value);
  const send = (body) => fetch("/face_latents/preview", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  window.flt = { node, panel, range, picture, settled, pixels, set, values, send };
}

// Returns what a test needs: {browser, page, report, check, open, run, shot, ...}.
export async function openPage(job) {
  const { browser, page, lines } = await launch(job);
  const report = { failures: [], figures: {}, lines };
  function check(condition, text) {
    if (condition) return;
    report.failures.push(text);
    console.error(text); // seen even where a later step ends the test
  }

  let session = null; // id of the newest session
  page.on("websocket", (socket) => socket.on("framereceived", ({ payload }) => {
    const text = payload.toString();
    const found = text.includes('"executed"') && /"face_latents_sliders":.*?"id": ?"([^"]+)"/.exec(text);
    if (found) session = found[1];
  }));

  let lastView = {};
  page.on("request", (request) => {
    if (!request.url().endsWith("/face_latents/preview")) return;
    const { photo = false, side = 256, before } = request.postDataJSON();
    if (!before) lastView = { photo, side };
  });

  async function open(graph) {
    await page.goto(job.address);
    await page.waitForFunction(() => window.app?.extensionManager && window.app.graph, null, {
      timeout: 180000,
    });
    await page.waitForTimeout(2500);
    await page.evaluate(addHelpers);
    await page.evaluate((json) => window.app.loadGraphData(json), graph);
    await page.waitForFunction(() => window.flt.panel()?.querySelector(".fls-row"), null, {
      timeout: 60000,
    });
    await page.evaluate(() => {
      const { ds } = window.app.canvas;
      const [x, y] = window.flt.node().pos;
      ds.scale = 1;
      ds.offset[0] = 300 - x;
      ds.offset[1] = 140 - y;
      window.app.canvas.setDirty(true, true);
    });
    await page.waitForTimeout(1500);
  }

  async function shot(name) {
    await page.screenshot({ path: path.join(job.out, `${name}.png`) });
  }

  async function run() {
    session = null;
    const answered = page.waitForResponse((answer) => answer.url().endsWith("/prompt") &&
      answer.request().method() === "POST");
    await page.evaluate(() => window.app.queuePrompt(0, 1));
    const { prompt_id: id, node_errors: errors } = await (await answered).json();
    check(Object.keys(errors ?? {}).length === 0, `refused: ${JSON.stringify(errors)}`);
    for (let i = 0; i < 1200; i++) {
      const history = await (await fetch(`${job.address}/history/${id}`)).json();
      if (history[id]) {
        check(history[id].status.status_str === "success", "the run failed");
        await page.waitForTimeout(1500);
        return history[id];
      }
      await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error("the run did not end");
  }

  // The picture on the node once the exact one has come.
  async function restingPicture() {
    await page.waitForTimeout(300);
    await page.waitForFunction(() => window.flt.picture().ariaBusy !== "true", null,
      { timeout: 60000 });
    await page.waitForTimeout(500);
    return page.evaluate(() => window.flt.pixels(window.flt.picture()));
  }

  // What the route draws for the values on the node, in the view that the node asked for last.
  function expectedPicture() {
    return page.evaluate(async ([id, view]) => {
      const body = { id, strengths: window.flt.values(), sequence: 1, ...view };
      const answer = await window.flt.send(body);
      return window.flt.pixels(await createImageBitmap(await answer.blob()));
    }, [session, lastView]);
  }

  return {
    browser, page, report, check, open, run, shot, restingPicture, expectedPicture,
    session: () => session,
    addHelpers: () => page.evaluate(addHelpers),
  };
}
