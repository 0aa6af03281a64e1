"""Graph JSON to API JSON, feature by feature, against what the canvas does."""

import pytest
from face_latents.cli.runner.convert import load_prompt, to_prompt
from face_latents.cli.runner.graph import WorkflowError


def node_def(required=None, optional=None, outputs=("IMAGE",), output_node=False):
    entry = {"required": required or {}, "optional": optional or {}}
    return {"input": entry, "output": list(outputs), "output_node": output_node}


DEFS = {
    "Load": node_def({"image": (["a.png"], {"image_upload": True})}, outputs=("IMAGE", "MASK")),
    "Sample": node_def({"seed": ("INT", {"default": 3}), "psi": ("FLOAT", {"default": 0.7})}),
    "Pick": node_def({"mode": ("COMBO", {"options": ["x", "y"], "control_after_generate": True})}),
    "Edit": node_def(
        {"image": ("IMAGE",), "strength": ("FLOAT", {"default": 1.0})},
        {"mask": ("MASK",), "label": ("STRING", {"default": "l"})},
    ),
    "Two": node_def({"a": ("MASK",), "b": ("IMAGE",)}),
    "Force": node_def({"x": ("FLOAT", {"forceInput": True}), "y": ("FLOAT", {})}),
    "List": node_def({"values": ("CURVE", {})}),
    "Out": node_def(
        {"images": ("IMAGE",), "filename_prefix": ("STRING", {"default": "p"})}, output_node=True
    ),
    "SaveImage": node_def(
        {"images": ("IMAGE",), "filename_prefix": ("STRING", {"default": "p"})}, output_node=True
    ),
}


class Build:
    """Graph JSON by hand: sockets are named, links are made where they are used."""

    def __init__(self, version=0.4):
        self.version = version
        self.nodes, self.links, self.extra = [], [], {}

    def node(self, node_id, kind, inputs=(), outputs=("IMAGE",), values=None, **more):
        """inputs: (name, type[, origin id, origin slot[, widget]])."""
        slots = []
        for index, item in enumerate(inputs):
            name, type_, *source = item
            slot = {"name": name, "type": type_, "link": None}
            if len(source) == 3:
                slot["widget"] = {"name": source[2]}
            if source and source[0] is not None:
                slot["link"] = self.link(source[0], source[1], node_id, index, type_)
            slots.append(slot)
        node = {"id": node_id, "type": kind, "mode": 0, "inputs": slots}
        node["outputs"] = [{"name": kind, "type": kind} for kind in outputs]
        if values is not None:
            node["widgets_values"] = values
        self.nodes.append({**node, **more})
        return self

    def link(self, origin, slot, target, target_slot, kind):
        number = len(self.links) + 1
        self.links.append([number, origin, slot, target, target_slot, kind])
        return number

    def json(self, **more):
        links = self.links
        if self.version == 1:
            names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
            links = [dict(zip(names, link, strict=True)) for link in links]
        return {"version": self.version, "nodes": self.nodes, "links": links, "groups": [], **more}

    def prompt(self, **more):
        return to_prompt(self.json(**more), DEFS)


@pytest.mark.parametrize("version", [0.4, 1])
def test_values_links_titles_and_the_upload_button(version):
    prompt = (
        Build(version)
        .node(1, "Load", outputs=("IMAGE", "MASK"), values=["b.png", "image"])
        .node(2, "Edit", [("image", "IMAGE", 1, 0), ("mask", "MASK", 1, 1)], values=[2.5, "q"])
        .node(3, "Out", [("images", "IMAGE", 2, 0)], values=["pre"], title="My output")
        .prompt()
    )
    assert prompt == {
        "1": {"class_type": "Load", "inputs": {"image": "b.png"}, "_meta": {"title": "Load"}},
        "2": {
            "class_type": "Edit",
            "inputs": {"strength": 2.5, "label": "q", "image": ["1", 0], "mask": ["1", 1]},
            "_meta": {"title": "Edit"},
        },
        "3": {
            "class_type": "Out",
            "inputs": {"filename_prefix": "pre", "images": ["2", 0]},
            "_meta": {"title": "My output"},
        },
    }


def test_control_after_generate_takes_a_place_after_a_seed():
    prompt = Build().node(1, "Sample", values=[42, "randomize", 0.5]).prompt()
    assert prompt["1"]["inputs"] == {"seed": 42, "psi": 0.5}


def test_missing_values_are_defaults():
    assert Build().node(1, "Sample", values=[42]).prompt()["1"]["inputs"]["psi"] == 0.7
    assert Build().node(1, "Sample").prompt()["1"]["inputs"] == {"seed": 3, "psi": 0.7}
    assert Build().node(1, "Pick").prompt()["1"]["inputs"] == {"mode": "x"}


def test_values_by_name():
    prompt = Build().node(1, "Sample", values={"psi": 0.1, "seed": 9, "other": 1}).prompt()
    assert prompt["1"]["inputs"] == {"seed": 9, "psi": 0.1}


def test_forced_inputs_have_no_widget_and_lists_are_boxed():
    prompt = Build().node(1, "Force", values=[5.0]).node(2, "List", values=[[1, 2]]).prompt()
    assert prompt["1"]["inputs"] == {"y": 5.0}
    assert prompt["2"]["inputs"] == {"values": {"__value__": [1, 2]}}


def test_a_widget_turned_into_a_socket_takes_the_link():
    build = (
        Build().node(1, "Load", values=["a.png", "image"]).node(9, "Sample", values=[1, "fixed"])
    )
    build.node(2, "Edit", [("image", "IMAGE", 1, 0), ("strength", "FLOAT", 9, 0, "strength")])
    assert build.prompt()["2"]["inputs"]["strength"] == ["9", 0]


def test_primitive_node_gives_its_value():
    build = Build().node(5, "PrimitiveNode", outputs=("FLOAT",), values=[0.25, "fixed"])
    build.node(1, "Load", values=["a.png", "image"])
    build.node(
        2,
        "Edit",
        [("image", "IMAGE", 1, 0), ("strength", "FLOAT", 5, 0, "strength")],
        values=[1.0, "l"],
    )
    prompt = build.prompt()
    assert set(prompt) == {"1", "2"}
    assert prompt["2"]["inputs"]["strength"] == 0.25


def test_reroutes_notes_groups_and_link_reroutes_vanish():
    build = Build().node(1, "Load", values=["a.png", "image"]).node(7, "Note", values=["hello"])
    build.node(8, "MarkdownNote", values=["# hi"])
    build.node(3, "Reroute", [("", "*", 1, 0)], outputs=("IMAGE",))
    build.node(4, "Reroute", [("", "*", 3, 0)], outputs=("IMAGE",))
    build.node(5, "Out", [("images", "IMAGE", 4, 0)], values=["p"])
    extra = {"reroutes": [{"id": 1, "pos": [0, 0], "linkIds": [1]}]}
    extra["linkExtensions"] = [{"id": 1, "parentId": 1}]
    prompt = build.prompt(extra=extra, reroutes=extra["reroutes"])
    assert set(prompt) == {"1", "5"}
    assert prompt["5"]["inputs"]["images"] == ["1", 0]


def test_muted_node_leaves_its_targets_unconnected():
    build = Build().node(1, "Load", values=["a.png", "image"])
    build.node(2, "Edit", [("image", "IMAGE", 1, 0)], mode=2)
    prompt = build.node(3, "Out", [("images", "IMAGE", 2, 0)], values=["p"]).prompt()
    assert set(prompt) == {"1", "3"}
    assert "images" not in prompt["3"]["inputs"]


def test_bypassed_node_passes_on_the_input_of_the_same_type():
    build = Build().node(1, "Load", outputs=("IMAGE", "MASK"), values=["a.png", "image"])
    build.node(2, "Two", [("a", "MASK", 1, 1), ("b", "IMAGE", 1, 0)], mode=4)
    prompt = build.node(3, "Out", [("images", "IMAGE", 2, 0)], values=["p"]).prompt()
    assert set(prompt) == {"1", "3"}
    assert prompt["3"]["inputs"]["images"] == ["1", 0]


def test_bypassed_node_without_a_fitting_input_passes_nothing():
    build = Build().node(1, "Load", outputs=("IMAGE", "MASK"), values=["a.png", "image"])
    build.node(2, "Two", [("a", "MASK", 1, 1)], mode=4)
    prompt = build.node(3, "Out", [("images", "IMAGE", 2, 0)], values=["p"]).prompt()
    assert "images" not in prompt["3"]["inputs"]


def test_muted_and_bypassed_nodes_may_be_of_unknown_types():
    build = Build().node(1, "Load", values=["a.png", "image"]).node(6, "Alien", mode=2)
    build.node(2, "Alien", [("image", "IMAGE", 1, 0)], mode=4)
    prompt = build.node(3, "Out", [("images", "IMAGE", 2, 0)], values=["p"]).prompt()
    assert prompt["3"]["inputs"]["images"] == ["1", 0]


def subgraph(mode=0, instance_values=None, outer_link=True, properties=None):
    """Load -> [Edit -> Sample-fed strength] -> Out, with the middle inside a subgraph."""
    inner = {
        "id": "uuid",
        "name": "Middle",
        "version": 1,
        "inputs": [{"name": "image", "type": "IMAGE"}, {"name": "strength", "type": "FLOAT"}],
        "outputs": [{"name": "IMAGE", "type": "IMAGE"}],
        "nodes": [
            {
                "id": 1,
                "type": "Edit",
                "mode": 0,
                "inputs": [
                    {"name": "image", "type": "IMAGE", "link": 10},
                    {
                        "name": "strength",
                        "type": "FLOAT",
                        "link": 11,
                        "widget": {"name": "strength"},
                    },
                ],
                "outputs": [{"name": "IMAGE", "type": "IMAGE"}],
                "widgets_values": [1.5, "inner"],
            }
        ],
        "links": [
            {"id": 10, "origin_id": -10, "origin_slot": 0, "target_id": 1, "target_slot": 0},
            {"id": 11, "origin_id": -10, "origin_slot": 1, "target_id": 1, "target_slot": 1},
            {"id": 12, "origin_id": 1, "origin_slot": 0, "target_id": -20, "target_slot": 0},
        ],
    }
    build = Build().node(1, "Load", values=["a.png", "image"])
    image = ("image", "IMAGE", 1, 0) if outer_link else ("image", "IMAGE")
    build.node(
        2,
        "uuid",
        [image, ("strength", "FLOAT", None, None, "strength")],
        values=instance_values,
        mode=mode,
        properties=properties or {},
    )
    build.node(3, "Out", [("images", "IMAGE", 2, 0)], values=["p"])
    return build.json(definitions={"subgraphs": [inner]})


def test_subgraph_is_laid_flat():
    prompt = to_prompt(subgraph(), DEFS)
    assert set(prompt) == {"1", "2:1", "3"}
    assert prompt["2:1"]["inputs"] == {"strength": 1.5, "label": "inner", "image": ["1", 0]}
    assert prompt["3"]["inputs"]["images"] == ["2:1", 0]


def test_subgraph_instance_shows_its_own_value():
    prompt = to_prompt(subgraph(instance_values=[4.0]), DEFS)
    assert prompt["2:1"]["inputs"]["strength"] == 4.0


def test_subgraph_instance_with_proxied_widgets():
    properties = {"proxyWidgets": [["1", "label"], ["-1", "strength"]]}
    prompt = to_prompt(subgraph(instance_values=["outer", 6.0], properties=properties), DEFS)
    assert prompt["2:1"]["inputs"] == {"strength": 6.0, "label": "outer", "image": ["1", 0]}


def boundary(name, inputs, nodes, links):
    """A subgraph without outputs: its input n has link 10 + n to (node, slot) of `links`."""
    return {
        "id": name,
        "name": name,
        "inputs": [{"name": key, "type": kind} for key, kind in inputs],
        "nodes": nodes,
        "links": [
            {"id": 10 + n, "origin_id": -10, "origin_slot": n, "target_id": node, "target_slot": to}
            for n, (node, to) in enumerate(links)
        ],
    }


def fed(node_id, kind, names, values, **more):
    """A node whose widgets `names` are fed by a subgraph's inputs."""
    slots = [
        {"name": name, "type": "*", "link": 10 + n, "widget": {"name": name}}
        for n, name in enumerate(names)
    ]
    return {"id": node_id, "type": kind, "inputs": slots, "widgets_values": values, **more}


def test_an_instance_with_a_value_for_control_after_generate():
    sample = fed(1, "Sample", ("seed", "psi"), [3, "fixed", 0.7])
    inputs = ("seed", "INT"), ("psi", "FLOAT")
    inner = boundary("inner", inputs, [sample], [(1, 0), (1, 1)])
    slots = [(name, kind, None, None, name) for name, kind in inputs]
    for values, properties in (
        ([42, "randomize", 0.25], {}),
        ([42, 0.25], {}),
        (
            [42, "randomize", 0.25],
            {"proxyWidgets": [["-1", "seed"], ["1", "control_after_generate"], ["-1", "psi"]]},
        ),
    ):
        build = Build().node(2, "inner", slots, values=values, properties=properties)
        prompt = build.prompt(definitions={"subgraphs": [inner]})
        assert prompt["2:1"]["inputs"] == {"seed": 42, "psi": 0.25}, (values, properties)


def nested(outer_values, middle_values, outer=None, middle=None):
    """The value of Sample.psi inside two subgraphs, 0.5 of its own."""
    sample = fed(1, "Sample", ("psi",), [3, "fixed", 0.5])
    inner = boundary("inner", [("psi", "FLOAT")], [sample], [(1, 0)])
    instance = fed(5, "inner", ("psi",), middle_values, properties=middle or {})
    around = boundary("around", [("psi", "FLOAT")], [instance], [(5, 0)])
    if outer is not None:  # shown by proxy, not by an input
        around = {**around, "inputs": [], "links": []}
        instance["inputs"][0]["link"] = None
    slots = [] if outer is not None else [("psi", "FLOAT", None, None, "psi")]
    build = Build().node(2, "around", slots, values=outer_values, properties=outer or {})
    prompt = build.prompt(definitions={"subgraphs": [inner, around]})
    return prompt["2:5:1"]["inputs"]["psi"]


def test_of_nested_instances_the_outermost_with_a_value_counts():
    assert nested([2.5], [1.25]) == 2.5
    assert nested([], [1.25]) == 1.25
    assert nested([None], [1.25]) == 1.25
    assert nested([], []) == 0.5


def test_of_nested_proxies_the_outermost_with_a_value_counts():
    outer = {"proxyWidgets": [["5", "psi"]]}
    middle = {"proxyWidgets": [["1", "psi"]]}
    assert nested([2.5], [1.25], outer) == 2.5
    assert nested([2.5], [1.25], outer, middle) == 2.5
    assert nested([], [1.25], outer, middle) == 1.25


def test_bypassed_and_muted_subgraphs():
    assert to_prompt(subgraph(mode=4), DEFS)["3"]["inputs"]["images"] == ["1", 0]
    prompt = to_prompt(subgraph(mode=2), DEFS)
    assert set(prompt) == {"1", "3"}
    assert "images" not in prompt["3"]["inputs"]


def test_subgraph_inside_itself_is_refused():
    data = subgraph()
    data["definitions"]["subgraphs"][0]["nodes"].append({"id": 5, "type": "uuid", "mode": 0})
    with pytest.raises(WorkflowError, match="'Middle' contains itself"):
        to_prompt(data, DEFS)


def test_unknown_nodes_are_all_named():
    build = Build().node(1, "Alien", title="Green one").node(2, "Martian").node(3, "Alien")
    with pytest.raises(WorkflowError) as caught:
        build.prompt()
    text = str(caught.value)
    assert "Alien (node 1 'Green one', node 3)" in text
    assert "Martian (node 2)" in text


def test_missing_link_is_refused_with_input_and_node():
    build = Build().node(3, "Out", [("images", "IMAGE", 1, 0)], title="Save me")
    build.links.clear()
    with pytest.raises(
        WorkflowError, match=r"'images' of 'Save me' \(node 3\) uses link 1.*missing"
    ):
        build.prompt()


def test_link_from_a_missing_node_is_refused():
    build = Build().node(3, "Out", [("images", "IMAGE", 77, 0)])
    with pytest.raises(WorkflowError, match="node 77, which is missing"):
        build.prompt()


def test_reroutes_in_a_circle_are_refused():
    build = Build().node(1, "Reroute", [("", "*", 2, 0)]).node(2, "Reroute", [("", "*", 1, 0)])
    build.node(3, "Out", [("images", "IMAGE", 1, 0)])
    with pytest.raises(WorkflowError, match="circle"):
        build.prompt()


@pytest.mark.parametrize(
    "data",
    [
        [],
        {},
        "text",
        {"nodes": 3},
        {"a": {"inputs": {}}},
        {"nodes": [{"id": 1}]},
        {"nodes": [{"id": 1, "type": "Out"}, {"id": 1, "type": "Out"}]},
        {"nodes": [None]},
        {"nodes": [], "links": [[1, 2]]},
        {"nodes": [], "links": "x"},
        {"nodes": [], "links": [[float("inf"), 1, 0, 2, 0, "IMAGE"]]},
    ],
)
def test_damaged_files_are_refused(data):
    with pytest.raises(WorkflowError):
        load_prompt(data, DEFS)


def test_api_json_passes_through():
    data = {
        "1": {"class_type": "Load", "inputs": {"image": "a.png"}},
        "2": {"class_type": "Out", "inputs": {"images": [1, 0], "filename_prefix": "x"}},
    }
    prompt, graph, _ = load_prompt({"prompt": data}, DEFS)
    assert graph is None
    assert prompt["2"]["inputs"]["images"] == ["1", 0]
    assert data["2"]["inputs"]["images"] == [1, 0]


def test_filename_prefix_takes_widget_values_and_dates():
    build = Build().node(1, "Sample", values=[42, "fixed", 0.5], title="The face")
    build.node(
        2, "SaveImage", [("images", "IMAGE", 1, 0)], values=["%The face.seed%_%date:yyyy%_%width%"]
    )
    prefix = build.prompt()["2"]["inputs"]["filename_prefix"]
    assert prefix.startswith("42_20")
    assert prefix.endswith("_%width%")


def test_graph_is_not_changed():
    import copy

    data = subgraph(instance_values=[4.0])
    before = copy.deepcopy(data)
    to_prompt(data, DEFS)
    assert data == before


def test_canvas_nodes_of_other_packs_that_no_result_needs_are_left_out(caplog):
    build = Build().node(1, "Load", values=["a.png", "image"])
    build.node(2, "Out", [("images", "IMAGE", 1, 0)], values=["p"])
    build.node(3, "Label (rgthree)", title="Hello", outputs=())
    build.node(4, "Alien Loader")
    build.node(5, "Edit", [("image", "IMAGE", 4, 0)], values=[1.0, "l"])  # feeds the bypasser only
    toggled = [("Load", "*", 1, 0), ("Edit", "*", 5, 0), ("", "*")]
    build.node(6, "Fast Bypasser (rgthree)", toggled, outputs=("*",))
    prompt = build.prompt()
    assert set(prompt) == {"1", "2"}
    assert "needs them: Fast Bypasser (rgthree) (node 6)." in caplog.text


def test_an_unknown_node_that_a_result_needs_or_that_may_save_is_refused():
    build = Build().node(1, "Load", values=["a.png", "image"]).node(3, "Label (rgthree)")
    build.node(2, "Out", [("images", "IMAGE", 1, 0)], values=["p"])
    build.node(4, "Alien Upscaler", [("image", "*", 1, 0)])
    build.node(5, "Alien Saver", [("images", "IMAGE", 4, 0)], outputs=())
    with pytest.raises(WorkflowError) as caught:
        build.prompt()
    assert "Alien Saver (node 5)" in str(caught.value)
    assert "Alien Upscaler (node 4)" in str(caught.value)
    assert "Label" not in str(caught.value)


@pytest.mark.parametrize("pack", ["", "easy "])
def test_a_get_node_passes_on_what_the_set_node_of_its_name_takes(pack):
    setter, getter = ("easy setNode", "easy getNode") if pack else ("SetNode", "GetNode")
    build = Build().node(1, "Load", values=["a.png", "image"])
    build.node(2, "Edit", [("image", "IMAGE", 1, 0)], values=[1.0, "l"])
    build.node(3, setter, [("IMAGE", "IMAGE", 1, 0)], outputs=("*",), values=["photo"])
    build.node(4, setter, [("IMAGE", "IMAGE", 2, 0)], outputs=("*",), values=["edited"])
    build.node(5, getter, values=["edited"]).node(6, getter, values=["nothing"])
    build.node(7, "Out", [("images", "IMAGE", 5, 0)], values=["p"])
    build.node(8, "Out", [("images", "IMAGE", 3, 0)], values=["p"])
    prompt = build.prompt()
    assert set(prompt) == {"1", "2", "7", "8"}
    assert prompt["7"]["inputs"]["images"] == ["2", 0]
    assert prompt["8"]["inputs"]["images"] == ["1", 0]
    build.node(9, "Out", [("images", "IMAGE", 6, 0)], values=["p"])
    with pytest.raises(WorkflowError, match=r"'G?.*' \(node 6\) gets 'nothing', but no Set node"):
        build.prompt()


def test_a_get_node_in_a_subgraph_finds_the_set_node_around_it():
    data = subgraph()
    inner = data["definitions"]["subgraphs"][0]
    inner["nodes"].append(
        {"id": 8, "type": "GetNode", "outputs": [{"type": "IMAGE"}], "widgets_values": ["x"]}
    )
    edit = inner["nodes"][0]
    number = edit["inputs"][0]["link"]
    for link in inner["links"]:
        if link["id"] == number:
            link.update(origin_id=8, origin_slot=0)
    data["nodes"] += [
        {"id": 20, "type": "Load", "widgets_values": ["a.png", "image"], "outputs": []},
        {
            "id": 21,
            "type": "SetNode",
            "inputs": [{"name": "IMAGE", "type": "IMAGE", "link": 90}],
            "widgets_values": ["x"],
        },
    ]
    data["links"].append([90, 20, 0, 21, 0, "IMAGE"])
    prompt = to_prompt(data, DEFS)
    (edited,) = (node for node in prompt.values() if node["class_type"] == "Edit")
    assert edited["inputs"]["image"] == ["20", 0]
