// Uses the panel of Attribute Sliders beside its sliders: groups, search, locks, presets, views of
// the picture. Driven by check_sliders.py, as sliders.mjs.

import fs from "node:fs";
import path from "node:path";
import { openPage } from "./sliders_page.mjs";

const job = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const {
  browser, page, report, check, open, run, shot, restingPicture, expectedPicture,
} = await openPage(job);
const graph = JSON.parse(fs.readFileSync(job.workflow, "utf8"));

const heading = (name) => page.locator(`[data-group="${name}"] .fls-heading`);
const slider = (name) => page.getByRole("slider", { name, exact: true });
const expanded = () => page.evaluate(() => Object.fromEntries(
  [...window.flt.panel().querySelectorAll(".fls-group")].map((group) => [group.dataset.group,
    group.querySelector(".fls-heading").getAttribute("aria-expanded") === "true"]),
));
const seen = async (text, found, wanted) => {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  check(a === b, `${text}: ${a} instead of ${b}`);
};

// Undo and redo are the canvas's keys: no button or field may have them.
async function press(keys) {
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press(keys);
  await page.waitForTimeout(3000);
}

// To another tab and back.
async function changeTabs() {
  const command = (name) => page.evaluate((one) =>
    window.app.extensionManager.command.execute(one), name);
  await command("Comfy.NewBlankWorkflow");
  await page.waitForTimeout(1500);
  await command("Workspace.PreviousOpenedWorkflow");
  await page.waitForTimeout(3000);
}

// Groups: the first and those that are moved are open; folding one is undone and kept.
await open(graph);
const atFirst = { expression: true, pose: false, "face shape": false, look: true, light: false };
await seen("groups at first", await expanded(), atFirst);
check(await slider("head turn").count() === 0, "a folded group's sliders can be reached");
await heading("pose").focus();
await page.keyboard.press("Enter");
await heading("expression").click();
const folded = { ...atFirst, expression: false, pose: true };
await seen("folded", await expanded(), folded);
check(await page.evaluate(() => !!window.flt.node()), "a key on a heading removed the node");
check((await heading("expression").innerText()).includes("1 moved"), "what is moved is not said");
await page.waitForTimeout(500);
await press("Control+z");
await seen("folding undone", await expanded(), { ...folded, expression: true });
await press("Control+y");
await seen("folding redone", await expanded(), folded);
await changeTabs();
await seen("folded, after a change of tabs", await expanded(), folded);
await shot("1_folded");
const kept = await page.evaluate(() => window.app.graph.serialize());
await open(kept);
await seen("folded, loaded again", await expanded(), folded);

// A search shows the sliders of all groups that have its words.
const search = page.getByRole("searchbox", { name: "Search sliders" });
const found = () => page.evaluate(() => [...window.flt.panel().querySelectorAll(".fls-row")]
  .filter((row) => row.checkVisibility()).map((row) => row.dataset.name));
await search.click();
await page.keyboard.type("older");
await seen("search", await found(), ["age"]);
check((await page.locator(".fls-found").innerText()) === "1 of 39 sliders", "no number of hits");
await changeTabs();
await seen("search, after a change of tabs", await found(), ["age"]);
await shot("2_searched");
await search.focus();
await page.keyboard.press("Escape");
await seen("search ended", await expanded(), folded);

// Pictures of directions: where the pointer rests, where the keyboard is, and on Load Direction.
const tip = page.getByRole("tooltip");
const loaded = (selector) => page.waitForFunction((one) =>
  document.querySelector(one)?.naturalWidth > 0, selector, { timeout: 20000 }).catch(() => {});
const pictured = () => page.evaluate(() => {
  const picture = document.querySelector(".fls-tip img");
  return picture.checkVisibility() && picture.complete && [picture.naturalWidth, picture.alt];
});
await slider("head turn").hover();
await tip.waitFor({ timeout: 5000 });
await loaded(".fls-tip img");
await seen("the picture of a slider", await pictured(), [216, "head turn: -2.75, 0 and 2.75"]);
await shot("3_pictured");
await page.mouse.move(5, 5);
check(await tip.count() === 0, "the picture of a slider stays");
await search.focus();
await page.keyboard.press("Tab");
for (let i = 0; i < 12 && await tip.count() === 0; i++) await page.keyboard.press("Tab");
check(await tip.count() === 1, "the keyboard shows no picture of a slider");
await page.keyboard.press("Escape");
check(await tip.count() === 0, "Escape does not hide the picture of a slider");
await page.evaluate(() => {
  const loader = window.app.graph._nodes.find((one) => one.type === "FaceLatentsLoadModel");
  const node = window.LiteGraph.createNode("FaceLatentsLoadDirection");
  node.pos = [loader.pos[0], loader.pos[1] + 200];
  window.app.graph.add(node);
  loader.connect(0, node, 0);
  const choice = node.widgets.find((one) => one.name === "direction");
  choice.value = "glasses";
  choice.callback("glasses");
  node.widgets.find((one) => one.name === "thumbnail").element.dataset.test = "thumbnail";
});
await loaded("[data-test=thumbnail]");
await seen("the picture on Load Direction", await page.evaluate(() => {
  const node = window.app.graph._nodes.find((one) => one.type === "FaceLatentsLoadDirection");
  const { element } = node.widgets.find((one) => one.name === "thumbnail");
  return [element.naturalWidth, element.alt.split(":")[0], node.serialize().widgets_values];
}), [216, "glasses", ["glasses"]]);

// Beyond the natural range: a slider goes there, in another colour, and says so.
await slider("age").focus();
for (let i = 0; i < 5; i++) await page.keyboard.press("PageUp");
const said = await slider("age").getAttribute("aria-valuetext");
check(said === "+4, beyond the natural range of -3 to 3", `beyond the natural range: ${said}`);
check(Number(await slider("age").inputValue()) === 4, "a slider does not go beyond its range");
check(await page.locator('[data-name="age"].fls-beyond').count() === 1, "no other colour");
await page.getByRole("button", { name: "Set all of look to zero" }).click();
check(await page.evaluate(() => window.flt.values().age === undefined), "a group is not reset");
check(await page.evaluate(() => window.flt.values().smile === 1.5), "another group is reset");
await shot("3_beyond");

// Locks and resets: what is locked only the hand moves.
const values = () => page.evaluate(() => window.flt.values());
const reset = (name) => page.getByRole("button", { name: `Reset ${name}`, exact: true });
const lock = (name) => page.getByRole("button", { name: `Lock ${name}`, exact: true });
await open(graph);
await heading("pose").click();
await lock("smile").click();
await slider("age").focus();
await page.keyboard.press("l");
check(await lock("age").getAttribute("aria-pressed") === "true", "L does not lock a slider");
await page.getByRole("button", { name: "Reset all" }).click();
await seen("locked, Reset all", await values(), { smile: 1.5, age: -1 });
await press("Control+z");
check(await lock("age").getAttribute("aria-pressed") === "false", "a lock is not undone");
await reset("age").click();
await seen("one slider reset", await values(), { smile: 1.5 });

// Presets: they set the groups they name, and leave what is locked.
const presets = page.getByRole("combobox", { name: "Preset", exact: true });
await page.waitForFunction(() => document.querySelector(".fls-select optgroup"));
await presets.selectOption("older");
await seen("a preset of another group", await values(), { smile: 1.5, age: 1.5 });
await presets.selectOption("surprised");
await seen("a preset", await values(),
  { smile: 1.5, mouth_open: 1, blink: -1.5, brows: 2.5, age: 1.5 });
await lock("smile").click();
await presets.selectOption("laugh");
await seen("a preset without the lock", await values(),
  { smile: 2, mouth_open: 0.4, blink: 0.4, age: 1.5 });
await shot("4_preset");
await page.waitForTimeout(500);
await press("Control+z");
check((await values()).brows === 2.5, "a preset is not undone");
await page.getByRole("button", { name: "Save", exact: true }).click();
await page.keyboard.type("my <look>");
await page.keyboard.press("Enter");
await page.waitForFunction(() => document.querySelector(".fls-select").value === "own:my <look>");
await page.getByRole("button", { name: "Reset all" }).click();
await open(graph);
await page.waitForFunction(() => document.querySelector(".fls-select").options.length > 5);
await presets.selectOption({ label: "my <look>" });
await seen("a preset of one's own, after a reload", await values(),
  { smile: 1.5, mouth_open: 1, blink: -1.5, brows: 2.5, age: 1.5 });
await page.getByRole("button", { name: "Delete", exact: true }).click();
await page.waitForFunction(() => document.querySelector(".fls-select").value === "");
check(!(await presets.innerText()).includes("my <look>"), "a preset is not deleted");

// Chance sets the sliders that are open, within their natural range.
await heading("look").click();
await page.getByRole("button", { name: "Randomise" }).click();
const chance = await values();
check(chance.age === 1.5, "chance moved a slider of a folded group");
check(chance.head_turn === undefined, "chance moved a slider of a closed group");
check(Object.keys(chance).length > 8, `chance moved ${Object.keys(chance).length} sliders`);
check(await page.locator(".fls-beyond").count() === 0, "chance left the natural range");
await shot("5_random");

// Before, the whole photo, and a larger picture: what the route draws for each.
await page.getByRole("button", { name: "Reset all" }).click();
await run();
await presets.selectOption("laugh");
const after = await restingPicture();
check(after === await expectedPicture(), "a preset is not shown");
const shown = () => page.evaluate(() => {
  const [picture, former] = window.flt.panel().querySelectorAll(".fls-picture");
  return former.hidden ? "after" : `before ${window.flt.pixels(former) !==
    window.flt.pixels(picture)}`;
});
const before = page.getByRole("button", { name: "Before" });
await before.hover();
await page.mouse.down();
await page.waitForFunction(() => !document.querySelectorAll(".fls-picture")[1].hidden);
await page.waitForTimeout(500);
check(await shown() === "before true", "the picture before is not shown while the button is held");
await shot("6_before");
await page.mouse.up();
check(await shown() === "after", "the picture before stays");
await slider("smile").focus();
await page.keyboard.down("b");
await page.waitForTimeout(500);
check(await shown() === "before true", "B does not show the picture before");
await page.keyboard.up("b");
check(await shown() === "after", "the picture before stays after B");
await page.getByRole("button", { name: "Whole photo" }).click();
const size = () => page.evaluate(() => {
  const { naturalWidth, naturalHeight } = window.flt.picture();
  return [naturalWidth, naturalHeight];
});
check(await restingPicture() === await expectedPicture(), "the whole photo is not the route's");
await seen("the whole photo", await size(), [512, 512]);
await shot("7_photo");
await run();
await restingPicture();
await seen("the whole photo, after a run", await size(), [512, 512]);
await changeTabs();
await restingPicture();
await seen("the whole photo, after a change of tabs", await size(), [512, 512]);
await page.getByRole("button", { name: "Whole photo" }).click();
await page.evaluate(() => {
  window.flt.node().setSize([1000, 800]);
  window.app.canvas.setDirty(true, true);
});
await page.waitForTimeout(1500);
const large = await restingPicture();
check(large === await expectedPicture(), "the larger picture is not the route's");
const box = await page.locator(".fls-frame").boundingBox();
check(box.width > 500 && box.height > 380, `a large node's picture is ${JSON.stringify(box)}`);
await shot("8_large");

// Among the inputs of an app there is little room: a slider is still long enough to drag.
await open(graph);
await page.evaluate(() =>
  window.app.extensionManager.command.execute("Comfy.ToggleLinear"));
await page.waitForTimeout(3000);
const lengthOfSlider = await page.evaluate(() => window.flt.range("smile").clientWidth);
check(lengthOfSlider > 120, `a slider of an app is ${lengthOfSlider} pixels long`);
await shot("9_app");

// Another language, without loading the page anew.
const speak = (language) => page.evaluate((one) =>
  window.app.extensionManager.setting.set("Comfy.Locale", one), language);
await open(graph);
await speak("ja");
await page.waitForTimeout(3000);
await page.evaluate((json) => window.app.loadGraphData(json), graph);
await page.waitForTimeout(3000);
const headings = await page.evaluate(() => window.flt.panel().innerText);
check(headings.includes("\u8868\u60c5"), "the panel does not follow the language");
await shot("10_japanese");
await speak("en");
await page.waitForTimeout(1000);

await browser.close();
fs.writeFileSync(path.join(job.out, "report.json"), JSON.stringify(report, null, 2));
