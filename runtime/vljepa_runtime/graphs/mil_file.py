"""A Core ML package as far as it must be known before Core ML sees it: one program, and weights in listed files.

The numbers of fields are those of Apple's `Model.proto` and `MIL.proto`.
"""

from __future__ import annotations

from collections.abc import Mapping

from vljepa_runtime.graphs.wire import BYTES, Damaged, fields, text

__all__ = ["check_program"]

MAX_DEPTH = 24  # a value in a list in an argument of an operation in a block: about 12
MAX_MESSAGES = 4_000_000
_MODEL_FIELDS = (
    1,
    2,
    10,
    502,
)  # version, description, updatable, and the program: no pipelines, no links to files
_INSIDE = "@model_path/"

# Message -> field -> message that it holds. What is not here holds no reference to a file, and is passed over.
_MESSAGES: Mapping[str, Mapping[int, str]] = {
    "program": {2: "function entry", 4: "entry"},
    "function entry": {2: "function"},
    "function": {1: "named type", 3: "block entry", 4: "entry"},
    "block entry": {2: "block"},
    "block": {1: "named type", 3: "operation", 4: "entry"},
    "operation": {2: "input entry", 3: "named type", 4: "refused", 5: "entry"},
    "input entry": {2: "argument"},
    "argument": {1: "binding"},
    "binding": {2: "value"},
    "entry": {2: "value"},
    "named type": {2: "type"},
    "type": {1: "tensor type", 2: "list type", 3: "tuple type", 4: "dictionary type", 5: "state type"},
    "tensor type": {4: "entry"},
    "list type": {1: "type"},
    "tuple type": {1: "type"},
    "dictionary type": {1: "type", 2: "type"},
    "state type": {1: "type"},
    "value": {2: "type", 3: "immediate", 5: "blob"},
    "immediate": {2: "values", 3: "values", 4: "pairs"},
    "values": {1: "value"},
    "pairs": {1: "pair"},
    "pair": {1: "value", 2: "value"},
}


def check_program(content: memoryview, beside: Mapping[str, int]) -> None:
    """Walk a `.mlmodel` file.

    Args:
        content: The file.
        beside: Size in bytes per file that it may refer to, from the folder of the file on (`weights/weight.bin`).

    Raises:
        Damaged: it is no ML program, loops or branches, or refers to other files.
    """
    programs = []
    for number, wire, _, data in fields(content):
        if number not in _MODEL_FIELDS:
            raise Damaged(f"the model has a field {number}, expected an ML program and nothing else")
        if number == 502 and wire == BYTES:
            programs.append(data)
    if len(programs) != 1:
        raise Damaged(f"it holds {len(programs)} ML programs, expected one")
    left = MAX_MESSAGES
    open_messages = [("program", programs[0], 0)]
    while open_messages:
        kind, message, depth = open_messages.pop()
        left -= 1
        if depth > MAX_DEPTH or left < 0:
            raise Damaged("its program is nested too deep or too long")
        if kind == "refused":
            raise Damaged("an operation holds a block of its own, as loops and branches do")
        if kind == "blob":
            _check_blob(message, beside)
            continue
        inner = _MESSAGES[kind]
        open_messages += [
            (inner[number], data, depth + 1)
            for number, wire, _, data in fields(message)
            if number in inner and wire == BYTES
        ]


def _check_blob(message: memoryview, beside: Mapping[str, int]) -> None:
    name, offset = "", 0
    for number, _, value, data in fields(message):
        if number == 1:
            name = text(data)
        elif number == 2:
            offset = value
    place = name[len(_INSIDE) :] if name.startswith(_INSIDE) else ""
    if place not in beside:
        raise Damaged(f"a constant lies in {name[:200]!r}, which this graph does not list")
    if offset >= beside[place]:
        raise Damaged(f"a constant lies at {offset} of {place}, which has {beside[place]} bytes")
