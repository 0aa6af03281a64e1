// Uses Attribute Sliders in the canvas of a running host as a person would. Driven by
// check_sliders.py.
//
// node sliders.mjs JOB.json
// JOB: {address, playwright, chromium, out, workflow, width, height, moves}
// Writes OUT/<step>.png and OUT/report.json: {failures: [...], figures: {...}, lines: [...]}

import fs from "node:fs";
import path from "node:path";
import { openPage } from "./sliders_page.mjs";

const job = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const {
  browser, page, report, check, open, run, shot, restingPicture, expectedPicture, session,
  addHelpers,
} = await openPage(job);
const { lines } = report;

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

async function measure(kind) {
  return page.evaluate(async ({ count, event }) => {
    const times = [];
    for (let i = 0; i < count; i++) {
      const began = performance.now();
      const value = -3 + (6 * i) / count;
      await window.flt.settled(window.flt.picture(), () => window.flt.set("smile", value, event));
      times.push(performance.now() - began);
    }
    return times;
  }, { count: job.moves, event: kind });
}

async function measureServer(draft) {
  return page.evaluate(async ({ id, count, isDraft }) => {
    const times = [];
    for (let i = 0; i < count; i++) {
      const began = performance.now();
      const strengths = { smile: -3 + (6 * i) / count };
      await (await window.flt.send({ id, strengths, draft: isDraft })).blob();
      times.push(performance.now() - began);
    }
    return times;
  }, { id: session(), count: job.moves, isDraft: draft });
}

const graph = JSON.parse(fs.readFileSync(job.workflow, "utf8"));
const numbers = (wanted) => page.evaluate((names) =>
  Object.fromEntries(names.map((name) => [name, Number(window.flt.range(name).value)])), wanted);

// Before any run.
await open(graph);
await shot("1_opened");
const saved = JSON.parse(graph.nodes.find((one) => one.type === "FaceLatentsSliders")
  .widgets_values[0]);
check(JSON.stringify(await numbers(Object.keys(saved))) === JSON.stringify(saved),
  "the sliders do not show the saved values");
check((await page.locator(".fls-hint").innerText()).includes("Queue"), "no hint to queue");

// The picture of a run, and a drag with the mouse.
await run();
await shot("2_ran");
check(await page.evaluate(() => window.flt.picture().naturalWidth) > 0, "no picture after the run");
const before = await restingPicture();
const slider = page.getByRole("slider", { name: "smile", exact: true });
const box = await slider.boundingBox();
await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
await page.mouse.down();
await page.mouse.move(box.x + box.width * 0.9, box.y + box.height / 2, { steps: 6 });
await page.mouse.up();
check(await restingPicture() !== before, "a drag does not change the picture");
check(await page.evaluate(() => window.flt.values().smile) > 2, "a drag does not set the value");
check(await page.evaluate(() => Object.values(window.flt.values()).every((value) => value !== 0)),
  "a drag names sliders that nobody touched");
check(await restingPicture() === await expectedPicture(), "the drag ends with another picture");
await shot("3_dragged");

// Twenty quick moves end with the picture of the last one.
await page.evaluate(async () => {
  for (let i = 0; i < 20; i++) {
    window.flt.set(i % 2 ? "smile" : "age", ((i * 7) % 13) / 3 - 2);
    await new Promise((done) => setTimeout(done, 5));
  }
});
check(await restingPicture() === await expectedPicture(), "20 quick moves end with a stale picture");

// A move touches the row that moves, and the node's text only once the sliders rest: Nodes 2.0 makes
// all widgets of a node anew for a text, and its shadow for any change below a filter.
const touched = await page.evaluate(async () => {
  const { node, panel, set, values } = window.flt;
  const strengths = node().widgets.find((one) => one.name === "strengths");
  const before = strengths.value;
  const rows = new Set();
  const observer = new MutationObserver((records) => {
    for (const { target } of records) rows.add(target.closest(".fls-row")?.dataset.name ?? "else");
  });
  const watched = { subtree: true, childList: true, attributes: true };
  observer.observe(panel().querySelector(".fls-list"), watched);
  for (let i = 1; i <= 5; i++) {
    set("smile", i / 10);
    await new Promise((done) => setTimeout(done, 20));
  }
  const early = strengths.value !== before;
  await new Promise((done) => setTimeout(done, 400));
  observer.disconnect();
  const shadow = getComputedStyle(panel().closest(".lg-node") ?? panel()).filter;
  return JSON.stringify({ rows: [...rows], early, smile: values().smile, shadow });
});
check(touched === '{"rows":["smile"],"early":false,"smile":0.5,"shadow":"none"}',
  `what moves touch: ${touched}`);

// How long a move takes: in the browser, and the answer of the server alone.
report.figures = {
  move_ms: median(await measure("input")),
  exact_ms: median(await measure("change")),
  server_draft_ms: median(await measureServer(true)),
  server_exact_ms: median(await measureServer(false)),
};

// Keyboard, typing, resets.
await slider.focus();
await page.keyboard.press("Home");
check((await numbers(["smile"])).smile === 0, "Home does not reset");
for (const key of ["ArrowRight", "ArrowUp", "Shift+ArrowLeft"]) await page.keyboard.press(key);
check((await numbers(["smile"])).smile === 0.19, "arrows and Shift do not move by 0.1 and 0.01");
await page.keyboard.press("Delete");
check((await numbers(["smile"])).smile === 0, "Delete does not reset");
check(await page.evaluate(() => !!window.flt.node()), "Delete removed the node");
await page.getByRole("spinbutton", { name: "smile, exact value", exact: true }).fill("5.25");
await page.keyboard.press("Tab");
check(await page.evaluate(() => window.flt.values().smile) === 5.25, "a typed value is not taken");
await slider.dblclick();
check((await page.evaluate(() => window.flt.values().smile ?? 0)) === 0, "no double-click reset");
await page.getByRole("button", { name: "Reset all" }).click();
check(await page.evaluate(() => Object.keys(window.flt.values()).length) === 0, "Reset all fails");

// What is queued is what was shown.
await page.evaluate(() => { window.flt.set("smile", 2, "change"); window.flt.set("age", -1.5, "change"); });
const shown = await restingPicture();
await run();
const queued = await restingPicture();
check(shown === queued, `the queued picture is another one: ${shown} and ${queued}`);
await shot("4_ran_again");

// A run that is queued while a slider moves is one of where it is.
const posted = page.waitForRequest((request) => request.url().endsWith("/prompt") &&
  request.method() === "POST");
await page.evaluate(() => { window.flt.set("smile", 1.25); window.app.queuePrompt(0, 1); });
const prompt = Object.values((await posted).postDataJSON().prompt);
const { strengths } = prompt.find((one) => one.class_type === "FaceLatentsSliders").inputs;
check(JSON.parse(strengths).smile === 1.25, `queued while a slider moves: ${strengths}`);
await run();
await page.evaluate(() => { window.flt.set("smile", 2, "change"); });

// A wire for one slider, and a direction that is gone; then save, reload and run.
await page.getByRole("button", { name: "Set beard by wire" }).click();
await page.evaluate(() => {
  const { node } = window.flt;
  const source = window.LiteGraph.createNode("PrimitiveFloat");
  source.pos = [node().pos[0] - 300, node().pos[1] + 300];
  window.app.graph.add(source);
  source.widgets[0].value = 1.25;
  source.connect(0, node(), node().inputs.findIndex((input) => input.name === "set_beard"));
  const strengths = node().widgets.find((one) => one.name === "strengths");
  strengths.value = JSON.stringify({ ...JSON.parse(strengths.value), gone: 2 });
});
const kept = await page.evaluate(() => window.app.graph.serialize());
await open(kept);
const now = { ...await numbers(["smile", "age"]), ...await page.evaluate(() => window.flt.values()) };
check(now.smile === 2 && now.age === -1.5 && now.gone === 2, `reloaded: ${JSON.stringify(now)}`);
const entry = await run();
const told = JSON.stringify(entry.outputs);
check(told.includes("'gone'"), "a missing direction is not named");
check(/beard: \+1.25/.test(told), "the wire does not reach the slider");
check(await page.evaluate(() => window.flt.range("beard").disabled), "a wired slider can be moved");
check((await page.locator(".fls-status").innerText()).includes("gone"), "the node does not name it");
await shot("5_wired");

// A wire that is taken away while a slider moves: no picture of what is not connected any more.
await open(graph);
await run();
await page.evaluate(() => {
  const node = window.flt.node();
  window.flt.set("smile", 2);
  node.disconnectInput(node.inputs.findIndex((input) => input.name === "face_model"));
  window.flt.set("smile", 1, "change");
});
await page.waitForTimeout(4000);
check((await page.locator(".fls-status").innerText()).includes("Queue"),
  "a preview in vain: the panel does not say to queue");
check(await page.evaluate(() => window.flt.values().smile) === 1, "a drag without a model is lost");

// Undo removes the node and makes it anew: what is on the page belongs to the new one.
await open(graph);
await run();
async function drag(name, share) {
  const one = page.getByRole("slider", { name, exact: true });
  await one.scrollIntoViewIfNeeded();
  const place = await one.boundingBox();
  const middle = place.y + place.height / 2;
  await page.mouse.move(place.x + place.width / 2, middle);
  await page.mouse.down();
  await page.mouse.move(place.x + place.width * share, middle, { steps: 6 });
  await page.mouse.up();
}
const preview = () => page.evaluate(() => {
  const { picture, panel } = window.flt;
  return { panels: document.querySelectorAll(".face-latents-sliders").length,
    shown: !!panel() && !picture().hidden && picture().naturalWidth > 0 };
});
const whole = JSON.stringify({ panels: 1, shown: true });
await drag("smile", 0.9);
await page.mouse.click(60, 900);
await page.waitForTimeout(500);
for (const keys of ["Control+z", "Control+y", "Control+z"]) {
  await page.keyboard.press(keys);
  await page.waitForTimeout(3000);
  const seen = JSON.stringify(await preview());
  check(seen === whole, `${keys}: ${seen}`);
}
await drag("age", 0.2);
await page.waitForTimeout(500);
check(await page.evaluate(() => window.flt.values().age) < -1, "a drag after undo is lost");
check(await restingPicture() === await expectedPicture(), "after undo the preview does not follow");
await run();
check(await restingPicture() === await expectedPicture(), "after undo a run is not shown");
await shot("6_undone");

// Another tab and back, and a reload of the page.
await page.evaluate(() => window.app.extensionManager.command.execute("Comfy.NewBlankWorkflow"));
await page.waitForTimeout(1500);
await page.evaluate(() =>
  window.app.extensionManager.command.execute("Workspace.PreviousOpenedWorkflow"));
await page.waitForTimeout(3000);
check(JSON.stringify(await preview()) === whole, `tab: ${JSON.stringify(await preview())}`);
await shot("7_tab");
await page.reload();
await page.waitForFunction(() => window.app?.extensionManager && window.app.graph, null,
  { timeout: 180000 });
await addHelpers();
await page.waitForTimeout(5000);
check(JSON.stringify(await preview()) === whole, `reload: ${JSON.stringify(await preview())}`);
await shot("8_reloaded");

// The node inside a subgraph.
const errors = lines.length;
await page.evaluate(() => {
  const { canvas } = window.app;
  canvas.selectItems([window.flt.node()]);
  canvas.graph.convertToSubgraph(canvas.selectedItems);
});
await page.waitForTimeout(2500);
const thrown = lines.slice(errors).filter((line) => /pageerror|NullGraph/.test(line));
check(thrown.length === 0, `subgraph: ${thrown.join(" | ").slice(0, 400)}`);
const outside = () => page.evaluate(() => {
  const outer = window.app.graph._nodes.find((node) => node.subgraph);
  const inner = outer.subgraph.nodes.find((node) => node.type === "FaceLatentsSliders");
  const panel = document.querySelector(".face-latents-sliders");
  return {
    panels: document.querySelectorAll(".face-latents-sliders").length,
    held: outer.widgets.some((widget) => widget.element === panel),
    wide: panel.getBoundingClientRect().width > 100,
    rows: panel.querySelectorAll(".fls-row").length > 5,
    smile: JSON.parse(inner.widgets.find((widget) => widget.name === "strengths").value).smile,
  };
});
async function checkOutside(when, smile) {
  const seen = JSON.stringify(await outside());
  const meant = JSON.stringify({ panels: 1, held: true, wide: true, rows: true, smile });
  check(seen === meant, `subgraph, ${when}: ${seen} instead of ${meant}`);
}
await page.evaluate(() => window.flt.set("smile", 2.5, "change"));
await checkOutside("a slider set outside", 2.5);
await run();
check((await preview()).shown, "subgraph: no preview outside after a run");
for (const inside of [true, false]) {
  await page.evaluate((enter) => {
    const { canvas, rootGraph } = window.app;
    const outer = rootGraph.nodes.find((node) => node.subgraph);
    if (enter) canvas.openSubgraph(outer.subgraph, outer);
    else canvas.setGraph(rootGraph);
  }, inside);
  await page.waitForTimeout(2000);
}
await checkOutside("gone in and out again", 2.5);
await shot("9_subgraph");

await browser.close();
fs.writeFileSync(path.join(job.out, "report.json"), JSON.stringify(report, null, 2));
