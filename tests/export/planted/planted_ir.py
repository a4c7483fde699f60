"""OpenVINO graphs of a copy, edited in place: XML as text, constants by a pattern of their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from planted_copy import Copy, NotHere

Array = npt.NDArray[Any]
TYPES = {"f32": "<f4", "f16": "<f2", "i8": "i1", "u8": "u1", "i32": "<i4", "i64": "<i8"}
CONSTANT = re.compile(
    r'<layer id="\d+" name="(?P<name>[^"]+)" type="Const"[^>]*>\s*<data element_type="(?P<type>\w+)" '
    r'shape="(?P<shape>[^"]*)" offset="(?P<offset>\d+)" size="(?P<size>\d+)"'
)

__all__ = ["Ir", "ir_graph"]


class Ir:
    """One graph.

    Attributes:
        xml: The network.
    """

    def __init__(self, copy: Copy, name: str) -> None:
        self._copy = copy
        self.file = copy.file_of(name)
        if not self.file.endswith(".xml"):
            raise NotHere(f"{self.file} is no OpenVINO graph")
        self._weights = copy.manifest["graphs"][name]["external"][0]
        self.xml = copy.files[self.file].decode()

    def change(self, pattern: str, edit: Callable[[Array], object], nth: int = 0, kind: str = r"\w+") -> None:
        """Edit the values of one constant in place."""
        found = [
            each
            for each in CONSTANT.finditer(self.xml)
            if re.fullmatch(pattern, each["name"]) and re.fullmatch(kind, each["type"])
        ]
        if not -len(found) <= nth < len(found):
            raise NotHere(f"{self.file} has no constant {pattern}")
        place = found[nth]
        start, size = int(place["offset"]), int(place["size"])
        shape = [int(axis) for axis in place["shape"].split(",") if axis.strip()]
        content = self._copy.files[self._weights]
        values = np.frombuffer(content[start : start + size], TYPES[place["type"]]).reshape(shape).copy()
        before = values.copy()
        edit(values)
        if np.array_equal(before, values):
            raise NotHere(f"{place['name']} stays what it is")
        self._copy.files[self._weights] = content[:start] + values.tobytes() + content[start + size :]

    def substitute(self, pattern: str, to: str, count: int = 1) -> None:
        """Replace text of the network."""
        self.xml, done = re.subn(pattern, to, self.xml, count=count)
        if not done:
            raise NotHere(f"{self.file} has no {pattern}")


@contextmanager
def ir_graph(copy: Copy, name: str) -> Iterator[Ir]:
    """A graph to be edited; written back at the end."""
    graph = Ir(copy, name)
    yield graph
    copy.files[graph.file] = graph.xml.encode()
