"""The canvas's scripts, run by node in place of a browser, with what they need of the host."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import face_latents
import pytest
from face_latents.nodes.model.load import BUNDLED
from face_latents.nodes.sliders.panel import rows_of_model

JS = Path(face_latents.__file__).parent / "web" / "js"
Node = Callable[[str], Any]

pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="node runs the canvas's scripts")

APP = """
export const extensions = [];
export const app = { registerExtension: (extension) => extensions.push(extension) };
"""

# A workflow with two subgraphs: the loader is in one, the sliders in the other.
GRAPHS = """
class Graph {
  constructor(isRootGraph, nodes, links) {
    Object.assign(this, { isRootGraph, nodes, links });
    for (const node of nodes) node.graph = this;
  }
  getLink(id) { return this.links[id]; }
  getNodeById(id) { return this.nodes.find((node) => node.id === id) ?? null; }
}
const holder = (id, subgraph, inputs) => ({
  id, subgraph, inputs, size: [200, 100], widgets: [], computeSize: () => [200, 60],
  setSize(size) { this.size = size; },
  addDOMWidget(name, type, element) { this.widgets.push({ name, element }); return {}; },
  removeWidget(widget) { this.widgets = this.widgets.filter((one) => one !== widget); },
});
const wire = (origin_id) => ({ origin_id, origin_slot: 0 });
const loader = { id: 1, comfyClass: "FaceLatentsLoadModel", inputs: [],
  widgets: [{ name: "model", value: "mine.safetensors" }] };
const sliders = { id: 5, size: [380, 700], inputs: [{ name: "face_model", link: 20 }] };
const inner = new Graph(false, [sliders], { 20: wire(-10) });
const models = new Graph(false, [loader], { 30: wire(1) });
models.outputNode = { slots: [{ linkIds: [30] }] };
const [source, outer] = [holder(2, models, []), holder(3, inner, [{ link: 10 }])];
app.rootGraph = new Graph(true, [source, outer], { 10: wire(2) });
app.rootGraph.subgraphs = new Map([["a", inner], ["b", models]]);
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """Runs a module beside the scripts and returns the `result` that it sets."""
    root = tmp_path_factory.mktemp("host")
    folder = root / "extensions" / "pack" / "js"
    shutil.copytree(JS, folder)
    (root / "scripts").mkdir()
    (root / "scripts" / "app.js").write_text(APP, "utf-8")
    (root / "scripts" / "api.js").write_text("export const api = {};", "utf-8")
    (root / "package.json").write_text('{"type": "module"}', "utf-8")

    def run(code: str) -> Any:
        test = folder / "test.mjs"
        test.write_text(f"let result;\n{code}\nconsole.log(JSON.stringify(result));\n", "utf-8")
        command = ["node", str(test)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def saved(node: Node, values: dict[str, float], keeps_others: bool) -> Any:
    rows = [
        {"name": "smile", "source": "model"},
        {"name": "mine_00001_", "source": "file"},
        {"name": "wired", "source": "wire"},
    ]
    given = json.dumps([rows, values, keeps_others])
    return node(
        f'import {{ valuesToSave }} from "./sliders/panel.js";\nresult = valuesToSave(...{given});'
    )


def test_sliders_that_nobody_moved_are_not_named(node):
    assert saved(node, {"smile": 1.5}, keeps_others=False) == {"smile": 1.5}
    assert saved(node, {"smile": 0, "mine_00001_": 0}, keeps_others=False) == {}


def test_directions_of_ones_own_are_named_to_be_kept_still(node):
    assert saved(node, {"smile": 1.5}, keeps_others=True) == {"smile": 1.5, "mine_00001_": 0}


def test_sliders_are_sorted_into_groups_and_the_first_is_open(node):
    rows = [
        {"name": "smile", "source": "model", "group": "expression"},
        {"name": "age", "source": "model", "group": "look"},
        {"name": "mine", "source": "file", "group": "look"},
        {"name": "blink", "source": "model", "group": "expression"},
        {"name": "given", "source": "wire", "group": ""},
        {"name": "plain", "source": "model", "group": ""},
        {"name": "gone", "source": "missing"},
    ]
    code = f"""
    import {{ groupDirections, openAtFirst }} from "./sliders/groups.js";
    const groups = groupDirections({json.dumps(rows)});
    const names = [...groups].map(([name, held]) => [name, held.map((one) => one.name)]);
    result = [names, openAtFirst(groups, {{}}), openAtFirst(groups, {{ age: 1, blink: 0 }})];
    """
    groups, untouched, moved = node(code)
    assert groups == [
        ["missing", ["gone"]],
        ["expression", ["smile", "blink"]],
        ["look", ["age"]],
        ["your own", ["mine", "given"]],
        ["other", ["plain"]],
    ]
    assert untouched == ["missing", "expression"]
    assert moved == ["missing", "expression", "look"]


@pytest.mark.parametrize(
    ("search", "found"),
    [("age", True), ("AGE  older", True), ("look", True), ("younger", False), ("", True)],
)
def test_a_search_looks_at_name_meaning_and_group(node, search, found):
    row = {"name": "age", "label": "age", "unit": "plus: older", "group": "look"}
    code = f'import {{ isFound }} from "./sliders/groups.js"; result = isFound({json.dumps(row)}, '
    assert node(f"{code}{json.dumps(search)});") is found


def test_a_slider_goes_beyond_its_natural_range_and_says_so(node):
    code = """
    import { describeValue, isNatural, placeOf, reachOf } from "./sliders/range.js";
    const open = { low: -1.25, high: 3 };
    result = {
      reach: reachOf(open),
      natural: [-1.25, 0, 3, -1.3, 3.01].map((value) => isNatural(open, value)),
      places: [-9, -4.5, 0, 3, 4.5].map((value) => Number(placeOf(open, value).toFixed(3))),
      said: [0, 1.5, -2].map((value) => describeValue(open, value)),
    };
    """
    assert node(code) == {
        "reach": 4.5,
        "natural": [True, True, True, False, False],
        "places": [0, 0, 0.5, 0.833, 1],
        "said": ["0", "+1.5", "-2, beyond the natural range of -1.25 to 3"],
    }


def test_a_node_remembers_its_open_groups_in_what_a_workflow_saves(node):
    code = """
    import { PanelMemory } from "./sliders/memory.js";
    const one = { graph: { id: "g" }, id: 5, properties: { other: 1 } };
    const memory = new PanelMemory(one);
    const first = memory.open;
    memory.set({ open: ["look"] });
    memory.set({ search: "eye" });
    const properties = JSON.parse(JSON.stringify(one.properties));
    const again = new PanelMemory({ ...one, properties });
    const hurt = [null, 7, { open: "look" }].map((held) =>
      new PanelMemory({ properties: { face_latents_panel: held } }).open);
    result = [first, again.open, again.search, properties, hurt];
    """
    first, opened, search, properties, hurt = node(code)
    assert (first, opened, search) == (None, ["look"], "eye")
    assert properties == {"other": 1, "face_latents_panel": {"open": ["look"]}}
    assert hurt == [None, None, None]


def test_a_preset_sets_the_groups_it_names_and_leaves_locked_sliders(node):
    rows = [
        {"name": "smile", "source": "model", "group": "expression", "low": -2, "high": 3},
        {"name": "blink", "source": "model", "group": "expression", "low": -3, "high": 3},
        {"name": "brows", "source": "model", "group": "expression", "low": -3, "high": 3},
        {"name": "age", "source": "model", "group": "look", "low": -3, "high": 3},
    ]
    code = f"""
    import {{ applyPreset, randomValues }} from "./sliders/presets.js";
    const rows = {json.dumps(rows)};
    const ends = [0, 1].map((one) => randomValues(rows, ["brows"], () => one));
    const middle = randomValues(rows, [], () => 0.5);
    result = [applyPreset({{ smile: 2, gone: 1 }}, rows, ["brows"]), ends, middle];
    """
    applied, ends, middle = node(code)
    assert applied == {"changes": {"smile": 2, "blink": 0}, "leftOut": ["gone"]}
    assert ends == [{"smile": -2, "blink": -3, "age": -3}, {"smile": 3, "blink": 3, "age": 3}]
    assert set(middle.values()) == {0}


def test_presets_are_kept_and_a_damaged_file_is_not_written_over(node):
    code = """
    import { OwnPresets } from "./sliders/presets.js";
    const server = (text) => ({
      text,
      getUserData() {
        const found = this.text !== null;
        return new Response(this.text ?? "", { status: found ? 200 : 404 });
      },
      storeUserData(file, value) { this.text = JSON.stringify(value); },
    });
    const host = server(null);
    const own = new OwnPresets(host);
    let calls = 0;
    own.watchers.add(() => { calls += 1; });
    await own.save("mine", { smile: 1 });
    await own.save("__proto__", { age: 2 });
    const saved = host.text;
    await own.remove("mine");
    const kept = [...await own.load()];
    const refused = [];
    const damaged = ["{", "[]", "null", '{"a": 1}', '{"a": {"smile": "1"}}',
      '{"a": {"smile": 1000}}'];
    for (const text of damaged) {
      const broken = server(text);
      const failed = await new OwnPresets(broken).save("b", {}).then(() => false, () => true);
      refused.push(failed && broken.text === text);
    }
    result = [saved, kept, calls, refused];
    """
    saved, kept, calls, refused = node(code)
    assert json.loads(saved) == {"mine": {"smile": 1}, "__proto__": {"age": 2}}
    assert kept == [["__proto__", {"age": 2}]]
    assert calls == 3
    assert refused == [True] * 6


def test_shipped_presets_lie_in_the_natural_range_of_the_bundled_model():
    presets = json.loads((JS.parent / "presets.json").read_text("utf-8"))
    rows = {row["name"]: row for row in rows_of_model(BUNDLED)}
    for name, values in presets.items():
        for slider, value in values.items():
            assert value != 0
            assert rows[slider]["low"] <= value <= rows[slider]["high"], (name, slider)


def test_the_model_is_found_across_the_borders_of_subgraphs(node):
    imports = 'import { app } from "../../../scripts/app.js";'
    imports += 'import { modelNameOf } from "./sliders/sources.js";'
    found = f"{imports}{GRAPHS} result = modelNameOf(sliders);"
    assert node(found) == "mine.safetensors"
    assert node(found.replace("wire(-10)", 'wire("-10")')) == "mine.safetensors"
    cut = f"{imports}{GRAPHS} app.rootGraph.links = {{}}; result = modelNameOf(sliders);"
    assert node(cut) is None


def test_a_node_in_a_subgraph_has_the_id_of_the_servers_reports(node):
    imports = 'import { app } from "../../../scripts/app.js";'
    imports += 'import { executionId } from "./sliders/subgraph.js";'
    ids = f"{imports}{GRAPHS} result = [executionId(sliders), executionId(outer)];"
    assert node(ids) == ["3:5", "3"]


def test_a_subgraph_shows_the_panel_of_the_sliders_in_it_once(node):
    code = """
    import { app } from "../../../scripts/app.js";
    import { hideOutside, showOutside } from "./sliders/subgraph.js";
    """
    shown = f"""{code}{GRAPHS}
    const panel = {{}};
    showOutside(sliders, panel, {{}});
    showOutside(sliders, panel, {{}});
    const held = [source, outer].map((one) => one.widgets.filter((w) => w.element === panel));
    const before = held.map((widgets) => widgets.length);
    hideOutside(panel);
    result = [before, outer.widgets.length, outer.size];
    """
    assert node(shown) == [[0, 1], 0, [380, 700]]


def test_wires_of_the_pack_have_colours_and_those_of_a_palette_win(node):
    code = """
    import { app, extensions } from "../../../scripts/app.js";
    class Canvas { setDirty() {} }
    Canvas.link_type_colors = { FACE_LATENT: "", FACE_MODEL: "#123456" };
    app.canvas = new Canvas();
    app.canvas.default_connection_color_byType = {};
    await import("./wire_colours.js");
    for (const { afterConfigureGraph } of extensions) afterConfigureGraph();
    result = [Canvas.link_type_colors, app.canvas.default_connection_color_byType];
    """
    links, sockets = node(code)
    assert set(links) == set(sockets)
    assert len(set(sockets.values())) == 4
    assert links["FACE_MODEL"] == "#123456"
    assert links["FACE_LATENT"] == sockets["FACE_LATENT"] != ""


def test_template_cards_that_need_own_files_come_last(node):
    names = sorted(path.stem for path in (JS.parents[1] / "workflows").glob("*.json"))
    code = f"""
    import {{ api }} from "../../../scripts/api.js";
    const given = {json.dumps(names[::-1])};
    const cards = {{ pack: given, other: ["b", "a"] }};
    api.getWorkflowTemplates = async function () {{ return this === api && cards; }};
    await import("./template_order.js");
    result = await api.getWorkflowTemplates();
    """
    cards = node(code)
    own = [name.startswith("With own") for name in cards["pack"]]
    assert own == sorted(own)
    assert any(own)
    assert cards["pack"][0] == "Add a smile"
    assert cards["other"] == ["b", "a"]


def test_words_of_what_is_done_leave_the_node_and_notes_stay(node):
    code = f"""
    import {{ app, extensions }} from "../../../scripts/app.js";
    import {{ api }} from "../../../scripts/api.js";
    {GRAPHS}
    const heard = {{}};
    api.addEventListener = (kind, act) => {{ heard[kind] = act; }};
    await import("./progress_text.js");
    for (const {{ setup }} of extensions) setup?.();
    const said = (value) => [{{ name: "model", value: "x: done" }},
      {{ name: "$$node-text-preview", value }}];
    const other = {{ comfyClass: "Other", widgets: said("Sampling: done") }};
    const ours = {{ comfyClass: "FaceLatentsEncode", widgets: said("Finding faces: done") }};
    const removed = [];
    for (const one of [ours, other, loader]) {{
      one.removeWidget = (widget) => removed.push([one.comfyClass, widget.value]);
    }}
    app.rootGraph.nodes.push(ours, other);
    for (const text of ["Loading: 1 of 2", "Photo 2 shows no face.", "Loading: stopped"]) {{
      loader.widgets = said(text);
      heard.executing({{ detail: null }});
    }}
    const before = [...removed];
    removed.length = 0;
    loader.widgets = said("Loading: done");
    heard.executed({{ detail: null }});
    result = [before, removed];
    """
    before, removed = node(code)
    encoded = ["FaceLatentsEncode", "Finding faces: done"]
    assert before == [encoded] * 3
    assert removed == [encoded, ["FaceLatentsLoadModel", "Loading: done"]]


@pytest.mark.parametrize(
    ("language", "said", "label"),
    [
        ("zh", "+4，超出 -2 到 3 的自然范围", "微笑"),
        ("ja", "+4、自然な範囲 -2 から 3 の外", "笑顔"),
        ("en", "+4, beyond the natural range of -2 to 3", "smile"),
        ("fr", "+4, beyond the natural range of -2 to 3", "smile"),
    ],
)
def test_the_panel_speaks_the_language_of_the_host(node, language, said, label):
    packs = {
        folder.name: json.loads((folder / "main.json").read_text("utf-8"))
        for folder in (JS.parents[1] / "locales").iterdir()
    }
    rows = [{"name": name, "label": name, "source": "model"} for name in ("smile", "constructor")]
    rows.append({"name": "smile (file)", "label": "smile", "source": "file"})
    code = f"""
    import {{ app, extensions }} from "../../../scripts/app.js";
    import {{ api }} from "../../../scripts/api.js";
    import {{ describeValue }} from "./sliders/range.js";
    import {{ findDirections }} from "./sliders/sources.js";
    await import("./sliders/extension.js");
    app.extensionManager = {{ setting: {{ get: () => {json.dumps(language)} }} }};
    api.getCustomNodesI18n = async () => ({json.dumps(packs)});
    for (const {{ init }} of extensions) await init?.();
    const server = {{ fetchApi: async () => new Response(
      {json.dumps(json.dumps({"directions": rows}))}) }};
    const labels = (await findDirections(server, "mine")).map((row) => row.label);
    result = [describeValue({{ low: -2, high: 3 }}, 4), labels];
    """
    assert node(code) == [said, [label, "constructor", "smile"]]


@pytest.mark.parametrize("server", ["{}", "{ getCustomNodesI18n: async () => { throw 1; } }"])
def test_a_host_without_translations_has_english(node, server):
    code = 'import { loadTranslation, translate } from "./sliders/translate.js";'
    code += f'await loadTranslation({server}, "zh"); result = translate("{{a}} moved", {{ a: 1 }});'
    assert node(code) == "1 moved"


# A subgraph with Load Face Model, Load Direction and Add Direction, whose strength it shows.
STRENGTH = """
const of = (id, comfyClass, inputs, widgets = []) => ({ id, comfyClass, inputs, widgets });
const links = { 1: { origin_id: 1 }, 2: { origin_id: 2 }, 3: { origin_id: -10, origin_slot: 1 } };
for (const link of Object.values(links)) link.origin_slot ??= 0;
const slider = (name, value) => ({ name, value, options: { min: -10, max: 10 } });
const choice = { name: "direction", value: "smile" };
const loader = of(2, "FaceLatentsLoadDirection", [{ name: "face_model", link: 1 }], [choice]);
const add = of(3, "FaceLatentsAddDirection",
  [{ name: "direction", link: 2 }, { name: "strength", link: 3 }], [slider("strength", 0)]);
const model = of(1, "FaceLatentsLoadModel", [], [{ name: "model", value: "mine" }]);
const nodes = [model, loader, add];
const isInputConnected = function (slot) { return this.inputs[slot].link != null; };
for (const node of nodes) node.isInputConnected = isInputConnected;
const graph = { isRootGraph: false, nodes, links, getLink: (id) => links[id] };
graph.getNodeById = (id) => nodes.find((node) => node.id === id);
for (const node of nodes) node.graph = graph;
const outer = { id: 9, subgraph: graph, inputs: [{ name: "photo" }, { name: "smile" }] };
outer.widgets = [slider("smile", 0)];
app.rootGraph = { isRootGraph: true, nodes: [outer], subgraphs: new Map([["a", graph]]) };
const rows = [
  { name: "smile", label: "smile", source: "model", low: -2, high: 3 },
  { name: "mine_00001_", label: "mine", source: "file", low: -1, high: 1 },
];
api.fetchApi = async () => ({ ok: true, json: async () => ({ directions: rows }) });
globalThis.requestAnimationFrame = (act) => setTimeout(act, 0);
const wait = () => new Promise((resolve) => setTimeout(resolve, 20));
await import("./strength_range.js");
for (const { nodeCreated } of extensions) for (const node of [...nodes, outer]) nodeCreated(node);
const ends = () => [outer, add].map(({ widgets: [{ options }] }) => [options.min, options.max]);
"""


def test_a_strength_goes_by_the_range_of_its_direction_also_outside_its_subgraph(node):
    code = f"""
    import {{ app, extensions }} from "../../../scripts/app.js";
    import {{ api }} from "../../../scripts/api.js";
    {STRENGTH}
    await wait();
    result = [ends()];
    const change = async (act) => {{ act(); await wait(); result.push(ends()); }};
    choice.value = "directions/mine_00001_.safetensors";
    await change(() => choice.callback());
    await change(() => {{ outer.widgets[0].value = 7.9; add.onConfigure(); }});
    await change(() => {{ links[2].origin_id = 1; add.onConnectionsChange(); }});
    result.push(outer.widgets[0].value);
    """
    natural, own, older, unknown, kept = node(code)
    assert natural == [[-2, 3], [-4.5, 4.5]]
    assert own == [[-1, 1], [-1.5, 1.5]]
    assert older == [[-1, 7.9], [-1.5, 1.5]]
    assert unknown == [[-10, 10], [-10, 10]]  # what the node itself takes
    assert kept == 7.9
