// Loads workflows into the canvas of a running host, looks at the layout, takes screenshots and
// queues them. Driven by check_canvas.py.
//
// node canvas.mjs JOB.json
// JOB: {address, playwright, chromium, out, workflows: [paths], queue, save, width, height}
// Writes OUT/<workflow>.png, OUT/<workflow>.after.png and OUT/report.json.

import fs from "node:fs";
import path from "node:path";
import { launch } from "./launch.mjs";

const job = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));

// Runs in the page: fits the graph into the view and leaves room for the side bars.
function fitView(margin) {
  const canvas = window.app.canvas;
  const boxes = [
    ...window.app.graph._nodes.map((node) => [...node.getBounding()]),
    ...window.app.graph._groups.map((group) => [...group._bounding]),
  ];
  const left = Math.min(...boxes.map((b) => b[0]));
  const top = Math.min(...boxes.map((b) => b[1]));
  const right = Math.max(...boxes.map((b) => b[0] + b[2]));
  const bottom = Math.max(...boxes.map((b) => b[1] + b[3]));
  const area = canvas.canvas.getBoundingClientRect();
  const wide = area.width - margin.left - margin.right;
  const high = area.height - margin.top - margin.bottom;
  const scale = Math.min(1, wide / (right - left), high / (bottom - top));
  canvas.ds.scale = scale;
  canvas.ds.offset[0] = margin.left / scale - left + (wide / scale - (right - left)) / 2;
  canvas.ds.offset[1] = margin.top / scale - top + (high / scale - (bottom - top)) / 2;
  canvas.setDirty(true, true);
  return scale;
}

// Runs in the page: what a person would call a mess.
function findMess(afterRun) {
  const graph = window.app.graph;
  const ratio = window.app.canvas.ds.scale;
  const name = (node) => `${node.id} ${node.title ?? node.type}`;
  const mess = [];
  const boxOf = (node) => {
    // Nodes 2.0 draws with the browser: its own box counts, not the one the graph holds.
    const element = document.querySelector(`[data-node-id="${node.id}"]`);
    const graphBox = [...node.getBounding()];
    if (!element) return graphBox;
    const shown = element.getBoundingClientRect();
    return [graphBox[0], graphBox[1], shown.width / ratio, shown.height / ratio];
  };
  const boxes = graph._nodes.map((node) => ({ node, box: boxOf(node) }));
  for (let i = 0; i < boxes.length; i++) {
    for (let j = i + 1; j < boxes.length; j++) {
      const [a, b] = [boxes[i].box, boxes[j].box];
      const across = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
      const down = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
      if (across > 2 && down > 2) {
        mess.push(`${name(boxes[i].node)} overlaps ${name(boxes[j].node)} by ` +
          `${Math.round(across)} x ${Math.round(down)}`);
      }
    }
  }
  for (const { node, box } of boxes) {
    // After a run the preview of an animation claims more than it is drawn with.
    const least = node.computeSize();
    if (!afterRun && node.size[0] + 1 < least[0] && !/Note/.test(node.type)) {
      mess.push(`${name(node)} is ${Math.round(least[0] - node.size[0])} too narrow`);
    }
    for (const group of graph._groups) {
      const g = [...group._bounding];
      const inside = box[0] >= g[0] && box[1] >= g[1] &&
        box[0] + box[2] <= g[0] + g[2] + 1 && box[1] + box[3] <= g[1] + g[3] + 1;
      const apart = box[0] >= g[0] + g[2] || box[0] + box[2] <= g[0] ||
        box[1] >= g[1] + g[3] || box[1] + box[3] <= g[1];
      if (!inside && !apart) mess.push(`${name(node)} sticks out of group "${group.title}"`);
    }
  }
  return mess;
}

const { browser, page, lines } = await launch(job);

await page.goto(job.address);
await page.waitForFunction(() => window.app?.extensionManager && window.app.graph, null, {
  timeout: 120000,
});
await page.waitForTimeout(2500);
const report = { atStart: lines.splice(0), workflows: {} };

async function settle(count) {
  // The page draws slowly without a GPU: wait for whole frames, not for a time.
  await page.evaluate(async (n) => {
    for (let i = 0; i < n; i++) await new Promise((done) => requestAnimationFrame(done));
  }, count);
  await page.waitForTimeout(700);
}

async function waitForRun(id) {
  for (let i = 0; i < 1200; i++) {
    const history = await (await fetch(`${job.address}/history/${id}`)).json();
    if (history[id]) return history[id];
    await new Promise((done) => setTimeout(done, 250));
  }
  throw new Error(`prompt ${id} did not end`);
}

for (const file of job.workflows) {
  const name = path.basename(file, ".json");
  const facts = {};
  report.workflows[name] = facts;
  const graph = JSON.parse(fs.readFileSync(file, "utf8"));
  await page.evaluate((json) => window.app.loadGraphData(json), graph);
  await settle(5);
  const margin = { left: 80, right: 40, top: 90, bottom: 70 };
  facts.scale = await page.evaluate(fitView, margin);
  await settle(5);
  facts.mess = await page.evaluate(findMess, false);
  facts.missing = await page.evaluate(() => window.app.graph._nodes
    .filter((node) => node.has_errors).map((node) => `${node.id} ${node.type}`));
  facts.prompt = await page.evaluate(async () => (await window.app.graphToPrompt()).output);
  await page.screenshot({ path: path.join(job.out, `${name}.png`) });
  if (job.save) {
    const saved = await page.evaluate(() => window.app.graph.serialize());
    fs.writeFileSync(path.join(job.save, `${name}.json`), JSON.stringify(saved, null, 2) + "\n");
  }
  if (job.queue) {
    const answered = page.waitForResponse((answer) => answer.url().endsWith("/prompt") &&
      answer.request().method() === "POST");
    await page.evaluate(() => window.app.queuePrompt(0, 1));
    const answer = await (await answered).json();
    facts.nodeErrors = answer.node_errors ?? {};
    facts.status = "refused";
    if (answer.prompt_id && Object.keys(facts.nodeErrors).length === 0) {
      facts.status = (await waitForRun(answer.prompt_id)).status.status_str;
    }
    await settle(5);
    await page.waitForTimeout(1500);
    await page.evaluate(fitView, margin);
    await settle(5);
    facts.messAfter = await page.evaluate(findMess, true);
    await page.screenshot({ path: path.join(job.out, `${name}.after.png`) });
  }
  facts.lines = lines.splice(0);
}
await browser.close();
fs.writeFileSync(path.join(job.out, "report.json"), JSON.stringify(report, null, 2));
