"""Graphs of a bundle, looked at before an engine sees them. Knows file formats, and neither engines nor a network.

A graph file is a program that a stranger wrote: it may name other files, loop, or ask for gigabytes in a few hundred
bytes. Each format has one reader here, which takes a strict subset (what the exporters write) and refuses the rest.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from vljepa_runtime.errors import BundleError
from vljepa_runtime.graphs.ir_file import check_ir
from vljepa_runtime.graphs.limits import LONG, USUAL, value_limit
from vljepa_runtime.graphs.mil_file import check_program
from vljepa_runtime.graphs.onnx_file import read_onnx
from vljepa_runtime.graphs.onnx_sizes import Unfit, check_sizes
from vljepa_runtime.graphs.wire import Damaged
from vljepa_runtime.manifest import GraphSpec, Manifest

if TYPE_CHECKING:
    from vljepa_runtime.bundle import Bundle

__all__ = ["check_graphs", "checked_graph", "feed_shapes", "graph_limit"]

Shape = tuple[int, ...]


def check_graphs(bundle: Bundle) -> None:
    """Look at every graph of a bundle; see `checked_graph`."""
    for name in bundle.manifest.graphs:
        checked_graph(bundle, name)


def checked_graph(bundle: Bundle, name: str) -> memoryview:
    """Look at one graph.

    Returns:
        The content of its file, the very bytes that were looked at.

    Raises:
        BundleError: it is damaged, refers to what the bundle does not list for it, or asks for more than the limits.
    """
    spec, target = bundle.graph(name), bundle.manifest.target
    content, beside = bundle.view(spec.file), _beside(bundle, spec)
    try:
        if target in ("onnx", "tensorrt"):
            _check_onnx(bundle, spec, content, beside)
        elif target == "openvino":
            _check_ir(bundle, spec, content, beside)
        elif target == "coreml":
            _check_package(bundle, spec)
        # An engine of TensorRT for RTX is for NVIDIA's library alone to read; it holds its weights.
    except Damaged as error:
        raise BundleError(
            f"{bundle.name}/{name}: {error}: export it again, or ask its maker for a clean one"
        ) from error
    return content


def feed_shapes(manifest: Manifest, spec: GraphSpec, sizes: Mapping[str, int] = USUAL) -> dict[str, Shape]:
    """Shape per input of a graph for one full window.

    Args:
        manifest: Says how many tokens a window has.
        spec: The graph's contract.
        sizes: Of the free axes besides `N`.
    """
    free = {"N": max(spec.token_budgets, default=manifest.preprocess.tokens), **sizes}
    return {
        tensor.name: tuple(size if isinstance(size, int) else free.get(size, 1) for size in tensor.shape)
        for tensor in spec.inputs
    }


def graph_limit(bundle: Bundle, spec: GraphSpec, feeds: Mapping[str, Shape]) -> int:
    """How many values a graph may hold at once; see `limits.py`."""
    sizes = [size for shape in feeds.values() for size in shape[1:2]]
    held = sum(bundle.manifest.files[name].size for name in (spec.file, *spec.external))
    return value_limit(held, sum(set(sizes)))


def _beside(bundle: Bundle, spec: GraphSpec) -> dict[str, int]:
    """Size per listed file, named as a graph names it: from its own folder on."""
    folder = posixpath.dirname(spec.file) or "."
    return {posixpath.relpath(name, folder): bundle.manifest.files[name].size for name in spec.external}


def _check_onnx(bundle: Bundle, spec: GraphSpec, content: memoryview, beside: Mapping[str, int]) -> None:
    inside = {place: size for place, size in beside.items() if not place.startswith("..")}
    graph = read_onnx(content, inside)
    feeds = feed_shapes(bundle.manifest, spec)
    check_sizes(graph, feeds, limit=graph_limit(bundle, spec, feeds))
    if (longer := feed_shapes(bundle.manifest, spec, LONG)) != feeds:
        with suppress(Unfit):  # a table of positions may end before these; an engine then refuses such a run
            check_sizes(graph, longer, limit=graph_limit(bundle, spec, longer))


def _check_ir(bundle: Bundle, spec: GraphSpec, content: memoryview, beside: Mapping[str, int]) -> None:
    wanted = str(PurePosixPath(spec.file).with_suffix(".bin").name)
    if set(beside) - {wanted}:
        raise Damaged(f"expected {wanted} beside it, the bundle lists {', '.join(beside)[:200]}")
    check_ir(content, bundle.view(spec.external[0]) if spec.external else memoryview(b""))


def _check_package(bundle: Bundle, spec: GraphSpec) -> None:
    """The package's own list, and every program in it."""
    root = PurePosixPath(spec.file).parent
    names = (spec.file, *spec.external)
    if root.suffix != ".mlpackage" or PurePosixPath(spec.file).name != "Manifest.json":
        raise Damaged("expected NAME.mlpackage/Manifest.json")
    if strangers := [name for name in names if not PurePosixPath(name).is_relative_to(root)]:
        raise Damaged(f"{', '.join(strangers)} lies outside of {root}")
    try:
        items = [str(item["path"]) for item in json.loads(bundle.read(spec.file))["itemInfoEntries"].values()]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged(f"its list is not readable ({error!r})") from error
    inside = {str(place) for name in names for place in (PurePosixPath(name), *PurePosixPath(name).parents)}
    for item in items:
        if ".." in item.split("/") or str(root / "Data" / item) not in inside:
            raise Damaged(f"it names {item!r}, which the bundle does not list")
    programs = [name for name in spec.external if name.endswith(".mlmodel")]
    for program in programs:
        folder = posixpath.dirname(program)
        beside = {posixpath.relpath(name, folder): bundle.manifest.files[name].size for name in spec.external}
        check_program(bundle.view(program), {k: v for k, v in beside.items() if not k.startswith("..")})
    if not programs:
        raise Damaged("it holds no .mlmodel")
