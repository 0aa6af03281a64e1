"""Reading a pickle without the pickle module: nothing that it names is looked up or called.

A pickle is a program for a small stack machine, which the standard library runs with the power to
import and call anything. The machine here knows the instructions that files of tensors use. It
makes plain lists, dicts, sets, tuples, texts and numbers; where the program names something of a
library, that name must be in a list given by the caller, next to a function of this project that
makes an inert value in its place. Every other name and instruction ends the reading.

Instructions: https://github.com/python/cpython/blob/main/Lib/pickletools.py
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from .inert import MAX_STEPS, Budget, Builder, Name, Opaque, Record, Refusal

_MAX_INT_BYTES = 64
_MAX_KEY = 2**60
_MAX_MARKS = 200  # containers within containers
_MAX_TEXT = 64 * 1024 * 1024
_COPIED = 256  # bytes; longer byte strings stay views of the file
_PRIMITIVES = (str, int, float, bool, bytes, type(None))
_OLD_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}


def read_pickle(
    data: memoryview,
    start: int,
    names: Mapping[str, Builder | None],
    *,
    persistent: Builder | None = None,
    budget: Budget | None = None,
    explain: Callable[[str], str | None] = lambda name: None,
) -> tuple[object, int]:
    """The value of a pickle, and the position after it.

    Args:
        data: the file, as bytes; long byte strings in the value are views of it.
        start: where the pickle begins.
        names: what it may name, each with what makes its value from the arguments of a call.
        persistent: makes a value from the identity of an object stored elsewhere.
        budget: limits the instructions.
        explain: what to tell about a refused name, where more is known.

    Raises:
        Refusal: anything not allowed, damaged, or too large.
    """
    machine = _Machine(data, start, names, persistent, budget or Budget(), explain)
    try:
        return machine.run(), machine.position
    except Refusal:
        raise
    except (IndexError, KeyError, struct.error, UnicodeError) as error:
        raise Refusal(
            f"the pickle in it is damaged at byte {machine.position:,}. Fetch the file again."
        ) from error
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise Refusal(
            f"the pickle in it describes an impossible value at byte {machine.position:,} "
            f"({str(error)[:120]})."
        ) from error


class _Machine:
    def __init__(
        self,
        data: memoryview,
        start: int,
        names: Mapping[str, Builder | None],
        persistent: Builder | None,
        budget: Budget,
        explain: Callable[[str], str | None],
    ) -> None:
        self.data, self.position, self.names = data, start, names
        self.persistent, self.budget, self.explain = persistent, budget, explain
        self.stack: list[object] = []
        self.marks: list[list[object]] = []
        self.memo: dict[int, object] = {}

    def run(self) -> object:
        steps = self.budget.left
        while True:
            code = self.data[self.position]
            self.position += 1
            steps -= 1
            if steps < 0:
                raise Refusal(
                    f"the pickle in it takes more than {MAX_STEPS:,} steps, far more than any "
                    "model file needs."
                )
            if code == _STOP:
                self.budget.left = steps
                return self.stack.pop()
            instruction = _INSTRUCTIONS.get(code)
            if instruction is None:
                raise Refusal(
                    f"the pickle in it uses the instruction {bytes([code])!r}, which files of "
                    "tensors do not use. Nothing in it was run."
                )
            self.budget.left = steps
            instruction(self)
            steps = self.budget.left

    # arguments

    def number(self, layout: struct.Struct) -> int:
        (value,) = layout.unpack_from(self.data, self.position)
        self.position += layout.size
        return int(value)

    def take(self, count: int) -> memoryview:
        end = self.position + count
        if count < 0 or end > len(self.data):
            raise IndexError("end of file")
        view = self.data[self.position : end]
        self.position = end
        return view

    def line(self) -> str:
        start = self.position
        while self.data[self.position] != 10:
            self.position += 1
            if self.position - start > 400:
                raise Refusal("the pickle in it names something of more than 400 letters.")
        self.position += 1
        return str(self.data[start : self.position - 1], "utf-8")

    def until_mark(self) -> list[object]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    # instructions

    def protocol(self) -> None:
        version = self.take(1)[0]
        if version > 5:
            raise Refusal(f"the pickle in it has protocol {version}; known are 0 to 5.")

    def frame(self) -> None:
        self.take(8)

    def mark(self) -> None:
        if len(self.marks) >= _MAX_MARKS:
            raise Refusal("the pickle in it is nested in a way that no model file is.")
        self.marks.append(self.stack)
        self.stack = []

    def long(self) -> None:
        count = self.take(1)[0]
        if count > _MAX_INT_BYTES:
            raise Refusal("the pickle in it holds an absurdly long whole number.")
        self.stack.append(int.from_bytes(self.take(count), "little", signed=True))

    def double(self) -> None:
        self.stack.append(struct.unpack(">d", self.take(8))[0])

    def text(self, layout: struct.Struct, encoding: str = "utf-8") -> None:
        count = self.number(layout)
        if count > _MAX_TEXT:
            raise Refusal(f"the pickle in it holds a text of {count:,} letters.")
        self.stack.append(str(self.take(count), encoding, "surrogatepass"))

    def string(self, layout: struct.Struct) -> None:
        count = self.number(layout)
        if not 0 <= count <= _MAX_TEXT:
            raise IndexError("length of a text")
        self.stack.append(str(self.take(count), "latin-1"))

    def binary(self, layout: struct.Struct) -> None:
        view = self.take(self.number(layout))
        self.stack.append(bytes(view) if len(view) <= _COPIED else view)

    def make_tuple(self, count: int) -> None:
        if len(self.stack) < count:
            raise IndexError("stack")
        items = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        self.stack.append(items)

    def marked_tuple(self) -> None:
        items = tuple(self.until_mark())
        self.stack.append(items)

    def extend(self, items: list[object]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise TypeError("items for something that is no list")
        target.extend(items)

    def append(self) -> None:
        item = self.stack.pop()
        self.extend([item])

    def set_items(self, items: list[object]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise TypeError("entries for something that is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_primitive(key)] = value

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def add_items(self) -> None:
        items = self.until_mark()
        target = self.stack[-1]
        if type(target) is not set:
            raise TypeError("elements for something that is no set")
        target.update(_primitive(item) for item in items)

    def frozen_set(self) -> None:
        items = frozenset(_primitive(item) for item in self.until_mark())
        self.stack.append(items)

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    def name(self, module: object, name: object) -> None:
        if type(module) is not str or type(name) is not str:
            raise TypeError("a name that is no text")
        full = f"{_OLD_MODULES.get(module, module)}.{name}"
        if full not in self.names:
            raise Refusal(
                self.explain(full)
                or f"the pickle in it asks for '{full[:120]}', which no model file needs that is "
                "known here. Nothing in it was run. If you trust the file, load it with the "
                "program it was made for and save only its tensors."
            )
        self.stack.append(Name(full, self.names[full]))

    def text_name(self) -> None:
        module = self.line()
        self.name(module, self.line())

    def stack_name(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.name(module, name)

    def call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not Name or function.build is None or type(arguments) is not tuple:
            shown = function.full if type(function) is Name else type(function).__name__
            raise Refusal(f"the pickle in it calls '{shown[:120]}'. Nothing in it was run.")
        self.stack.append(function.build(arguments))

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is Record:
            fields = state[0] if type(state) is tuple and state else state
            if type(fields) is not dict:
                raise TypeError("an object's state that is no dict")
            target.state.update(fields)
        elif type(target) not in (dict, Opaque):  # their attributes do not matter
            raise TypeError("a state for a plain value")

    def stored_elsewhere(self) -> None:
        identity = self.stack.pop()
        if self.persistent is None or type(identity) is not tuple:
            raise Refusal("the pickle in it points to objects that are not in the file.")
        self.stack.append(self.persistent(identity))


def _primitive(value: object) -> object:
    # Keys can be chosen so that looking them up takes forever: nested tuples, and whole numbers
    # that Python's hash, a remainder by 2^61 - 1, does not tell apart.
    if type(value) not in _PRIMITIVES or (type(value) is int and abs(value) >= _MAX_KEY):
        raise TypeError(f"a key that is no text or moderate number: {type(value).__name__}")
    return value


_STOP = ord(".")
_U1, _U2, _U4, _U8 = (struct.Struct(f"<{code}") for code in "BHIQ")
_I4 = struct.Struct("<i")
_Instruction = Callable[[_Machine], object]
_INSTRUCTIONS: dict[int, _Instruction] = {
    0x80: _Machine.protocol,
    0x95: _Machine.frame,
    ord("("): _Machine.mark,
    ord("N"): lambda m: m.stack.append(None),
    0x88: lambda m: m.stack.append(True),
    0x89: lambda m: m.stack.append(False),
    ord("J"): lambda m: m.stack.append(m.number(_I4)),
    ord("K"): lambda m: m.stack.append(m.number(_U1)),
    ord("M"): lambda m: m.stack.append(m.number(_U2)),
    0x8A: _Machine.long,
    ord("G"): _Machine.double,
    0x8C: lambda m: m.text(_U1),
    ord("X"): lambda m: m.text(_U4),
    0x8D: lambda m: m.text(_U8),
    ord("U"): lambda m: m.string(_U1),
    ord("T"): lambda m: m.string(_I4),
    ord("C"): lambda m: m.binary(_U1),
    ord("B"): lambda m: m.binary(_U4),
    0x8E: lambda m: m.binary(_U8),
    0x96: lambda m: m.binary(_U8),
    ord(")"): lambda m: m.stack.append(()),
    ord("]"): lambda m: m.stack.append([]),
    ord("}"): lambda m: m.stack.append({}),
    0x8F: lambda m: m.stack.append(set()),
    0x85: lambda m: m.make_tuple(1),
    0x86: lambda m: m.make_tuple(2),
    0x87: lambda m: m.make_tuple(3),
    ord("t"): _Machine.marked_tuple,
    ord("a"): _Machine.append,
    ord("e"): lambda m: m.extend(m.until_mark()),
    ord("s"): _Machine.set_item,
    ord("u"): lambda m: m.set_items(m.until_mark()),
    0x90: _Machine.add_items,
    0x91: _Machine.frozen_set,
    ord("q"): lambda m: m.put(m.number(_U1)),
    ord("r"): lambda m: m.put(m.number(_U4)),
    0x94: lambda m: m.put(len(m.memo)),
    ord("h"): lambda m: m.get(m.number(_U1)),
    ord("j"): lambda m: m.get(m.number(_U4)),
    ord("c"): _Machine.text_name,
    0x93: _Machine.stack_name,
    ord("R"): _Machine.call,
    0x81: _Machine.call,  # a new object of a class is a call of its name
    ord("b"): _Machine.build,
    ord("Q"): _Machine.stored_elsewhere,
}
