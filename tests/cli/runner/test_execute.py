"""Checking and executing prompts: refusals, caching, list mapping."""

import math

import pytest
import torch
from face_latents.cli.runner.execute import Executor, NodeError, map_over_lists
from face_latents.cli.runner.graph import WorkflowError
from face_latents.cli.runner.prompts import find_cycles
from face_latents.cli.runner.validate import validate_prompt
from face_latents.models.errors import FaceLatentsError

RUNS: list[str] = []


@pytest.fixture(autouse=True)
def _forget_runs():
    RUNS.clear()
    Source.stamp = "same"
    Volatile.value = 0


class Source:
    RETURN_TYPES = ("NUMBER", "TEXT")
    FUNCTION = "go"
    stamp = "same"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"min": 0, "max": 10, "default": 1})}}

    @classmethod
    def IS_CHANGED(cls, value):
        return cls.stamp

    def go(self, value):
        RUNS.append(f"source {value}")
        return value, str(value)


class Add:
    RETURN_TYPES = ("NUMBER",)
    FUNCTION = "go"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"a": ("NUMBER",), "by": ("FLOAT", {"default": 0.0})},
            "optional": {"b": ("NUMBER",), "mode": (["plus", "minus"],)},
        }

    def go(self, a, by, b=0, mode="plus"):
        RUNS.append("add")
        assert torch.is_inference_mode_enabled()
        return (a + by + b if mode == "plus" else a - by - b,)


class Show:
    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"value": ("NUMBER,TEXT",)},
            "hidden": {"prompt": "PROMPT", "extra": "EXTRA_PNGINFO", "me": "UNIQUE_ID"},
        }

    def go(self, value, prompt=None, extra=None, me=None):
        RUNS.append("show")
        return {"ui": {"text": [f"{me}={value}"], "seen": [bool(prompt), extra]}}


class Split:
    RETURN_TYPES = ("NUMBER",)
    OUTPUT_IS_LIST = (True,)
    FUNCTION = "go"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"a": ("NUMBER",)}}

    def go(self, a):
        return (list(range(a)),)


class Gather:
    RETURN_TYPES = ("NUMBER",)
    INPUT_IS_LIST = True
    FUNCTION = "go"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"a": ("NUMBER",), "scale": ("INT", {"default": 1})}}

    def go(self, a, scale):
        return (sum(a) * scale[0],)


class Volatile(Source):
    value = 0

    @classmethod
    def IS_CHANGED(cls, value):
        return float("nan")


class Broken(Add):
    def go(self, a, by, b=0, mode="plus"):
        raise FaceLatentsError("the face is upside down")


class Crash(Add):
    def go(self, a, by, b=0, mode="plus"):
        raise KeyError("x")


class Picky(Source):
    @classmethod
    def VALIDATE_INPUTS(cls, value):
        return True if value != 7 else "seven is not welcome"


CLASSES = {
    cls.__name__: cls for cls in (Source, Add, Show, Split, Gather, Volatile, Broken, Crash, Picky)
}


def prompt(**nodes):
    """node=("Type", {inputs}); ids are the names."""
    return {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in nodes.items()}


def checked(**nodes):
    return validate_prompt(prompt(**nodes), CLASSES)


CHAIN = {
    "s": ("Source", {"value": 2}),
    "a": ("Add", {"a": ["s", 0], "by": 0.5}),
    "o": ("Show", {"value": ["a", 0]}),
}


def chain(**changes):
    return checked(**{**CHAIN, **changes})


def refusal(**nodes):
    with pytest.raises(WorkflowError) as caught:
        checked(**nodes)
    return str(caught.value)


def test_runs_in_order_and_collects_what_is_shown():
    result = Executor(CLASSES).run(chain(), {"nodes": []})
    assert result.executed == ["s", "a", "o"]
    assert result.ui == {"o": {"text": ["o=2.5"], "seen": [True, {"workflow": {"nodes": []}}]}}


def test_nodes_that_no_output_needs_do_not_run():
    Executor(CLASSES).run(chain(z=("Source", {"value": 9})))
    assert RUNS == ["source 2", "add", "show"]


def test_second_run_is_cached_entirely():
    executor = Executor(CLASSES)
    first = executor.run(chain())
    RUNS.clear()
    second = executor.run(chain())
    assert RUNS == []
    assert (second.executed, second.cached) == ([], ["s", "a", "o"])
    assert second.ui == first.ui


def test_only_what_is_downstream_of_a_change_runs_again():
    executor = Executor(CLASSES)
    executor.run(chain())
    RUNS.clear()
    executor.run(chain(a=("Add", {"a": ["s", 0], "by": 0.75})))
    assert RUNS == ["add", "show"]


def test_a_change_upstream_runs_everything_below_it():
    executor = Executor(CLASSES)
    executor.run(chain())
    RUNS.clear()
    executor.run(chain(s=("Source", {"value": 3})))
    assert RUNS == ["source 3", "add", "show"]


def test_is_changed_runs_a_node_again():
    executor = Executor(CLASSES)
    executor.run(chain())
    RUNS.clear()
    Source.stamp = "other"
    executor.run(chain())
    assert RUNS == ["source 2", "add", "show"]


def test_is_changed_of_nan_runs_every_time():
    executor = Executor(CLASSES)
    volatile = chain(s=("Volatile", {"value": 2}))
    executor.run(volatile)
    executor.run(volatile)
    assert RUNS.count("source 2") == 2


def test_results_no_longer_used_are_forgotten():
    executor = Executor(CLASSES)
    executor.run(chain())
    executor.run(chain(s=("Source", {"value": 3})))
    RUNS.clear()
    executor.run(chain())
    assert RUNS == ["source 2", "add", "show"]


def test_equal_nodes_are_run_once():
    nodes = chain(t=("Source", {"value": 2}), a=("Add", {"a": ["s", 0], "by": 0.5, "b": ["t", 0]}))
    result = Executor(CLASSES).run(nodes)
    assert RUNS == ["source 2", "add", "show"]
    assert result.ui["o"]["text"] == ["o=4.5"]


def test_lists_are_mapped_and_gathered():
    nodes = checked(
        s=("Source", {"value": 4}),
        l=("Split", {"a": ["s", 0]}),
        a=("Add", {"a": ["l", 0], "by": 1.0}),
        g=("Gather", {"a": ["a", 0], "scale": 10}),
        o=("Show", {"value": ["g", 0]}),
        p=("Show", {"value": ["a", 0]}),
    )
    result = Executor(CLASSES).run(nodes)
    assert result.ui["o"]["text"] == ["o=100.0"]
    assert result.ui["p"]["text"] == ["p=1.0", "p=2.0", "p=3.0", "p=4.0"]


def test_short_lists_repeat_their_last_value():
    class Pair:
        FUNCTION = "go"

        def go(self, a, b):
            return (a, b)

    assert map_over_lists(Pair(), {"a": [1, 2, 3], "b": [7, 8]}) == [(1, 7), (2, 8), (3, 8)]


def test_an_empty_list_is_an_error_not_a_crash():
    nodes = checked(
        s=("Source", {"value": 0}),
        l=("Split", {"a": ["s", 0]}),
        a=("Add", {"a": ["l", 0], "by": 1.0}),
        o=("Show", {"value": ["a", 0]}),
    )
    with pytest.raises(NodeError, match="empty list"):
        Executor(CLASSES).run(nodes)


@pytest.mark.parametrize(
    ("kind", "text"),
    [("Broken", r"'Broken' \(node a\): the face is"), ("Crash", "failed: KeyError")],
)
def test_a_failing_node_is_named_and_earlier_results_stay(kind, text):
    executor = Executor(CLASSES)
    with pytest.raises(NodeError, match=text):
        executor.run(chain(a=(kind, {"a": ["s", 0], "by": 0.5})))
    RUNS.clear()
    executor.run(chain())
    assert RUNS == ["add", "show"]


def test_progress_is_told_each_node():
    told = []
    Executor(CLASSES).run(chain(), progress=lambda *step: told.append(step))
    assert told == [
        ("'Source' (node s)", 0, 3),
        ("'Add' (node a)", 1, 3),
        ("'Show' (node o)", 2, 3),
        ("", 3, 3),
    ]


def test_interrupt_passes_through():
    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Executor(CLASSES).run(chain(), progress=stop)


def test_unknown_types_are_listed_by_name():
    text = refusal(x=("Nope", {}), y=("Nada", {}), **CHAIN)
    assert "Nope (node x)" in text
    assert "Nada (node y)" in text


def test_nothing_to_show_is_refused():
    assert "Save Image" in refusal(s=("Source", {"value": 1}))


def test_cycle_is_named():
    text = refusal(
        a=("Add", {"a": ["b", 0], "by": 0.0}),
        b=("Add", {"a": ["a", 0], "by": 0.0}),
        o=("Show", {"value": ["b", 0]}),
    )
    assert "circle" in text
    assert "node a" in text
    assert "node b" in text


def test_cycles_are_found_as_values_flow():
    nodes = prompt(
        a=("Add", {"a": ["c", 0]}),
        b=("Add", {"a": ["a", 0]}),
        c=("Add", {"a": ["b", 0]}),
        d=("Add", {"a": ["d", 0]}),
        e=("Add", {"a": ["c", 0], "b": ["d", 0]}),
    )
    assert sorted(map(sorted, find_cycles(nodes))) == [["a", "b", "c"], ["d"]]
    (loop,) = [cycle for cycle in find_cycles(nodes) if len(cycle) == 3]
    step = loop[(loop.index("a") + 1) % 3]
    assert step == "b"


def test_long_chains_do_not_overflow():
    nodes = {"n0": ("Source", {"value": 1})}
    for i in range(1, 3000):
        nodes[f"n{i}"] = ("Add", {"a": [f"n{i - 1}", 0], "by": 1.0})
    nodes["o"] = ("Show", {"value": ["n2999", 0]})
    result = Executor(CLASSES).run(checked(**nodes))
    assert result.ui["o"]["text"] == ["o=3000.0"]


@pytest.mark.parametrize(
    ("link", "text"),
    [
        (["gone", 0], "node gone, which does not exist"),
        (["s", 5], r"output 5 of 'Source' \(node s\), which has 2"),
        (["s"], "neither a value nor a link"),
        (["s", "x"], "neither a value nor a link"),
        (["s", 1], r"takes NUMBER, but 'Source' \(node s\) gives TEXT"),
    ],
)
def test_bad_links_are_refused(link, text):
    with pytest.raises(WorkflowError, match=text):
        chain(a=("Add", {"a": link, "by": 0.5}))


@pytest.mark.parametrize(
    ("node", "text"),
    [
        ({"s": ("Source", {})}, "'value' of 'Source' .* is not connected or set"),
        ({"s": ("Source", {"value": 11})}, "at most 10, but is 11"),
        ({"s": ("Source", {"value": -1})}, "at least 0, but is -1"),
        ({"s": ("Source", {"value": "two"})}, "a whole number, but is 'two'"),
        ({"s": ("Source", {"value": math.inf})}, "a whole number"),
        ({"s": ("Picky", {"value": 7})}, "seven is not welcome"),
        (
            {"a": ("Add", {"a": ["s", 0], "by": 0.0, "mode": "times"})},
            "'times', which is not among its choices: plus, minus",
        ),
        ({"a": ("Add", {"a": ["s", 0], "by": "much"})}, "a number, but is 'much'"),
    ],
)
def test_bad_values_are_refused(node, text):
    with pytest.raises(WorkflowError, match=text):
        chain(**node)


def test_all_problems_are_told_at_once():
    text = refusal(
        s=("Source", {"value": 99}),
        a=("Add", {"a": ["s", 0], "by": "x"}),
        o=("Show", {}),
        **{"p": ("Show", {"value": ["a", 0]})},
    )
    assert text.count("\n  - ") == 3


def test_validate_inputs_replaces_the_range_check():
    assert checked(**{**CHAIN, "s": ("Picky", {"value": 99})})["s"]["inputs"]["value"] == 99


def test_values_are_cast_as_declared():
    nodes = chain(s=("Source", {"value": "2"}), a=("Add", {"a": ["s", 0], "by": 1}))
    assert nodes["s"]["inputs"]["value"] == 2
    assert isinstance(nodes["a"]["inputs"]["by"], float)


def test_nothing_runs_when_anything_is_refused():
    refusal(**{**CHAIN, "p": ("Show", {})})
    assert RUNS == []


class TakesAny:
    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("NUMBER",)}}

    def go(self, value, **more):
        return {"ui": {"seen": [sorted(more.items())]}}


def test_a_link_to_an_undeclared_input_reaches_a_node_that_takes_any():
    """As the host has it: links pass, plain values of undeclared inputs do not."""
    source = {"class_type": "Source", "inputs": {"value": 3}}
    inputs = {"value": ["1", 0], "set_smile": ["1", 0], "stray": 5}
    classes = {"Source": Source, "TakesAny": TakesAny, "Show": Show}
    prompt = {"1": source, "2": {"class_type": "TakesAny", "inputs": inputs}}
    result = Executor(classes).run(validate_prompt(prompt, classes))
    assert result.ui["2"]["seen"] == [[("set_smile", 3)]]
    shown = {"1": source, "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}}}
    shown["2"]["inputs"]["stray"] = ["1", 0]
    assert Executor(classes).run(validate_prompt(shown, classes)).ui["2"]["text"] == ["2=3"]
