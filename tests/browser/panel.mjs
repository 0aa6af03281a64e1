// Uses the panel of Attribute Sliders beside its sliders: groups and search. Driven by
// check_sliders.py, as sliders.mjs.

import fs from "node:fs";
import path from "node:path";
import { openPage } from "./sliders_page.mjs";

const job = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const { browser, page, report, check, open, shot } = await openPage(job);
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
  await page.waitForTimeout(1500);
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
check((await page.locator(".fls-note").innerText()) === "1 of 39 sliders", "no number of hits");
await changeTabs();
await seen("search, after a change of tabs", await found(), ["age"]);
await shot("2_searched");
await search.focus();
await page.keyboard.press("Escape");
await seen("search ended", await expanded(), folded);

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

await browser.close();
fs.writeFileSync(path.join(job.out, "report.json"), JSON.stringify(report, null, 2));
