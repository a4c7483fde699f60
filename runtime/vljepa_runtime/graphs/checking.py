"""A graph of a bundle, held to what the bundle lists for it and to the limits, by the check of its target."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath
from pkgutil import resolve_name

from vljepa_runtime.bundle import Bundle, GraphSpec, Manifest
from vljepa_runtime.contract import TOKENS
from vljepa_runtime.errors import BundleError
from vljepa_runtime.files.strict_json import parse_json
from vljepa_runtime.graphs.ir_file import check_ir
from vljepa_runtime.graphs.limits import LONG, USUAL, value_limit
from vljepa_runtime.graphs.mil_file import check_program
from vljepa_runtime.graphs.onnx_file import OnnxGraph, read_onnx
from vljepa_runtime.graphs.onnx_sizes import Unfit, check_sizes
from vljepa_runtime.graphs.wire import Damaged
from vljepa_runtime.targets import TARGETS

__all__ = [
    "CheckedGraph",
    "check_coreml",
    "check_graphs",
    "check_onnx",
    "check_openvino",
    "checked_graph",
    "feed_shapes",
    "graph_limit",
]

Shape = tuple[int, ...]
MAX_SIZES = 1024  # combinations of sizes that are remembered


def check_graphs(bundle: Bundle) -> None:
    """Look at every graph of a bundle; see `checked_graph`."""
    for name in bundle.manifest.graphs:
        checked_graph(bundle, name)


class CheckedGraph:
    """A graph that was looked at.

    Args:
        bundle: Whose it is.
        name: In the manifest.
        content: The very bytes that were looked at.
        graph: What they say, of an ONNX file.
    """

    def __init__(self, bundle: Bundle, name: str, content: memoryview, graph: OnnxGraph | None) -> None:
        self.name, self.content, self.graph = name, content, graph
        self._bundle = bundle
        self._fit: set[tuple[tuple[str, Shape], ...]] = set()

    def check(self, feeds: Mapping[str, Shape]) -> None:
        """Hold the sizes of a run to the limits: a graph may ask for more at some than at those it was checked with.

        Args:
            feeds: Shape per input.

        Raises:
            BundleError: it asks for more.
        """
        key = tuple(feeds.items())
        if self.graph is None or key in self._fit:
            return
        spec = self._bundle.graph(self.name)
        with _named(f"{self._bundle.name}/{self.name}"), suppress(Unfit):  # the engine says what does not fit
            _check_sizes(self._bundle, spec, self.graph, feeds)
        if len(self._fit) < MAX_SIZES:
            self._fit.add(key)


def checked_graph(bundle: Bundle, name: str) -> CheckedGraph:
    """Look at one graph.

    Raises:
        BundleError: it is damaged, refers to what the bundle does not list for it, or asks for more than the limits.
    """
    spec, check = bundle.graph(name), TARGETS[bundle.manifest.target].check
    content = bundle.view(spec.file)
    graph: OnnxGraph | None = None
    if check:
        with _named(f"{bundle.name}/{name}"):
            graph = resolve_name(f"vljepa_runtime.graphs.{check}")(bundle, spec, content)
    return CheckedGraph(bundle, name, content, graph)


def feed_shapes(manifest: Manifest, spec: GraphSpec, sizes: Mapping[str, int] = USUAL) -> dict[str, Shape]:
    """Shape per input of a graph for one full window.

    Args:
        manifest: Says how many tokens a window has.
        spec: The graph's contract.
        sizes: Of the free axes besides that of tokens.
    """
    free = {TOKENS: max(spec.token_budgets, default=manifest.preprocess.tokens), **sizes}
    return {
        tensor.name: tuple(size if isinstance(size, int) else free.get(size, 1) for size in tensor.shape)
        for tensor in spec.inputs
    }


def graph_limit(bundle: Bundle, spec: GraphSpec, feeds: Mapping[str, Shape]) -> int:
    """How many values a graph may hold at once; see `limits.py`."""
    sizes = [size for shape in feeds.values() for size in shape[1:2]]
    held = sum(bundle.manifest.files[name].size for name in (spec.file, *spec.external))
    rows = max((shape[0] for shape in feeds.values() if shape), default=1)
    return rows * value_limit(held, sum(set(sizes)))


@contextmanager
def _named(graph: str) -> Iterator[None]:
    try:
        yield
    except Damaged as error:
        raise BundleError(f"{graph}: {error}: export it again, or ask its maker for a clean one") from error


def _beside(bundle: Bundle, spec: GraphSpec) -> dict[str, int]:
    """Size per listed file, named as a graph names it: from its own folder on."""
    folder = posixpath.dirname(spec.file) or "."
    return {posixpath.relpath(name, folder): bundle.manifest.files[name].size for name in spec.external}


def check_onnx(bundle: Bundle, spec: GraphSpec, content: memoryview) -> OnnxGraph:
    """An ONNX graph, at the sizes of a full window and at the longest of the contract."""
    inside = {place: size for place, size in _beside(bundle, spec).items() if not place.startswith("..")}
    graph = read_onnx(content, inside)
    feeds = feed_shapes(bundle.manifest, spec)
    _check_sizes(bundle, spec, graph, feeds)
    if (longer := feed_shapes(bundle.manifest, spec, LONG)) != feeds:
        with suppress(Unfit):  # a table of positions may end before these; an engine then refuses such a run
            _check_sizes(bundle, spec, graph, longer)
    return graph


def _check_sizes(bundle: Bundle, spec: GraphSpec, graph: OnnxGraph, feeds: Mapping[str, Shape]) -> None:
    whole = {tensor.name for tensor in spec.inputs if "float" not in tensor.dtype}
    check_sizes(graph, feeds, limit=graph_limit(bundle, spec, feeds), whole=whole)


def check_openvino(bundle: Bundle, spec: GraphSpec, content: memoryview) -> None:
    """An IR and the one file of constants beside it."""
    beside, wanted = _beside(bundle, spec), PurePosixPath(spec.file).with_suffix(".bin").name
    if set(beside) - {wanted}:
        raise Damaged(f"expected {wanted} beside it, the bundle lists {', '.join(beside)[:200]}")
    check_ir(content, bundle.view(spec.external[0]) if spec.external else memoryview(b""))


def check_coreml(bundle: Bundle, spec: GraphSpec, content: memoryview) -> None:
    """A Core ML package: its own list, which is the graph's file, and every program in it."""
    root = PurePosixPath(spec.file).parent
    names = (spec.file, *spec.external)
    if root.suffix != ".mlpackage" or PurePosixPath(spec.file).name != "Manifest.json":
        raise Damaged("expected NAME.mlpackage/Manifest.json")
    if strangers := [name for name in names if not PurePosixPath(name).is_relative_to(root)]:
        raise Damaged(f"{', '.join(strangers)} lies outside of {root}")
    try:
        items = [str(item["path"]) for item in parse_json(bytes(content))["itemInfoEntries"].values()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
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
