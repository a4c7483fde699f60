"""OpenVINO on one device: its own IR and plain ONNX graphs; never silently on another device or precision.

A graph that takes visual tokens is compiled for the usual window at once and for free sizes when one comes.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np

from vljepa_runtime.bundle import Bundle, GraphSpec
from vljepa_runtime.bundle.reader import MAPPED_BYTES
from vljepa_runtime.contract import BATCH, LENGTH, TOKENS, free_axes
from vljepa_runtime.engines.graph_files import unpacked
from vljepa_runtime.engines.openvino_library import import_untracked, shared_core
from vljepa_runtime.engines.processor import cuts_off_sums
from vljepa_runtime.engines.protocol import Array, Graph, LoadedGraph, check_loaded, require_target
from vljepa_runtime.engines.watched import Watch
from vljepa_runtime.errors import (
    BundleError,
    DeviceMissingError,
    GraphRefusedError,
    MissingEngineExtraError,
    RunError,
)
from vljepa_runtime.graphs.checking import CheckedGraph, checked_graph, feed_shapes, graph_limit
from vljepa_runtime.interruptible import interruptible
from vljepa_runtime.tokenizer.tokenizer import LENGTHS

__all__ = ["DEVICES", "OpenVinoEngine", "available_devices"]

DEVICES = ("cpu", "gpu", "npu")
TARGETS = ("openvino", "onnx")
SMALL_BYTES = 16 << 20
# As manifests name execution precisions -> OpenVINO's name of the device's ability; f32 is everywhere.
ABILITIES = {"bf16": "BF16", "f16": "FP16"}
_HINTS = {
    "cpu": "reinstall openvino",
    "gpu": "install Intel's GPU driver with its OpenCL library",
    "npu": "install Intel's NPU driver",
}


def available_devices() -> tuple[str, ...]:
    """Devices that OpenVINO finds here; none when it is not installed."""
    if find_spec("openvino") is None:
        return ()
    present = {name.partition(".")[0].lower() for name in shared_core().available_devices}
    return tuple(device for device in DEVICES if device in present)


class OpenVinoEngine:
    """Loads IR and ONNX graphs on one device.

    Args:
        device: One of `DEVICES`.
        threads: Threads on the CPU; None lets OpenVINO take one per core.

    Raises:
        MissingEngineExtraError: OpenVINO is not installed.
        DeviceMissingError: the device is not there.
    """

    def __init__(self, device: str = "cpu", *, threads: int | None = None) -> None:
        self.name = f"openvino:{device}"
        if find_spec("openvino") is None:
            raise MissingEngineExtraError("openvino", "openvino")
        if device not in available_devices():
            raise DeviceMissingError(
                f"{self.name}: OpenVINO finds no {device.upper()} here: {_HINTS[device]}, "
                "or pass allow_fallback=True (--allow-fallback)"
            )
        self._device = device.upper()
        self._threads = threads
        self._core = shared_core()
        self._running: dict[str, str] = {}

    @property
    def detail(self) -> str:
        """Version, device and the precisions in which the loaded graphs are computed."""
        release = import_untracked("openvino").get_version().partition("-")[0]
        device = self._core.get_property(self._device, "FULL_DEVICE_NAME").strip()
        computing = ", ".join(sorted(set(self._running.values())))
        return f"OpenVINO {release} on {self._device} ({device})" + (f" in {computing}" if computing else "")

    def load(self, bundle: Bundle, graph_name: str) -> Graph:
        """See `Engine.load`."""
        spec = bundle.graph(graph_name)
        require_target(self.name, bundle, *TARGETS)
        what = f"{bundle.name}/{graph_name}"
        looked_at = checked_graph(bundle, graph_name)
        model, held = self._read(bundle, looked_at, what)
        check_loaded(what, spec, inputs=_types(model.inputs), outputs=_types(model.outputs))
        _check_sizes(bundle, spec, model, what)
        precision, text = self._precision(bundle.manifest.execution.get(graph_name, "f32"))
        self._running[what] = text
        usual = _usual_sizes(bundle, spec)
        options = self._options(precision, at_once=self._threads == 1 or _is_small(bundle, spec))

        def compiled(sizes: Mapping[str, int]) -> Any:
            return self._compile(_reshaped(model, spec, sizes), options, what)

        graph = _OpenVinoGraph(looked_at, spec, compiled, usual, engine=self.name, held=held)
        bundle.check_unchanged((spec.file, *spec.external))
        return graph

    def _read(self, bundle: Bundle, graph: CheckedGraph, what: str) -> tuple[Any, object]:
        """A graph's model, and what must live as long as it."""
        spec, content = bundle.graph(graph.name), bytes(graph.content)
        with self._refusals_explained(what):
            if bundle.manifest.target == "openvino":
                weights = self._weights(bundle, spec)
                return self._core.read_model(content, weights), weights
            if not spec.external:
                return self._core.read_model(content, b""), None
            self._core.set_property({"ENABLE_MMAP": _bytes(bundle, spec) >= MAPPED_BYTES})
            with unpacked(bundle, spec) as path:
                return self._core.read_model(str(path)), None

    def _weights(self, bundle: Bundle, spec: GraphSpec) -> Any:
        """The weights of an IR. Those of a large model stay mapped while it lives: reading them took 0.74 GB more for
        a predictor of full size in int8 (1.32 instead of 0.58 GB after a run, mapped pages left out).
        """
        if not spec.external:
            return b""
        content = bundle.view(spec.external[0])
        if isinstance(content.obj, bytes):
            return content.obj
        array = np.frombuffer(content, np.uint8)
        return import_untracked("openvino").Tensor(array, shared_memory=True)

    def _precision(self, wanted: str) -> tuple[str, str]:
        """What to compute in, and how to say it: f32 where the device has no such type."""
        able = wanted == "f32" or ABILITIES.get(wanted) in self._core.get_property(
            self._device, "OPTIMIZATION_CAPABILITIES"
        )
        return (wanted, wanted) if able else ("f32", f"f32 (the device has no {wanted})")

    def _options(self, precision: str, *, at_once: bool) -> dict[str, Any]:
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
        if self._device != "CPU":
            return options
        options["ENABLE_CPU_PINNING"] = False  # see cores.py
        if cuts_off_sums():  # what a graph quantises is then computed in float, as the graph is written
            options["LP_TRANSFORMS_MODE"] = False
        if at_once:
            # No stream of its own: the calling thread computes. Handing a step of the decoder of `tiny` to another
            # thread and back took 11 ms on two busy cores, the step itself 1 ms.
            options["NUM_STREAMS"] = 0
        elif self._threads is not None:
            options["INFERENCE_NUM_THREADS"] = self._threads
        return options

    def _compile(self, model: Any, options: Mapping[str, Any], what: str) -> Any:
        precision = options["INFERENCE_PRECISION_HINT"]
        with self._refusals_explained(what):
            compiled = interruptible(
                lambda: self._core.compile_model(model, self._device, dict(options)), bool, name=what
            )
            devices = [name.partition(".")[0] for name in compiled.get_property("EXECUTION_DEVICES")]
            running = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if devices != [self._device] or running != precision:
            raise GraphRefusedError(
                f"{self.name}: asked for {what} in {precision}, OpenVINO would run it in {running} on "
                f"{', '.join(devices)}: choose another --engine, or export with another precision"
            )
        return compiled

    @contextmanager
    def _refusals_explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise GraphRefusedError(
                f"{self.name} refused {what}: {_reason(error)}: try another --engine"
            ) from error


class _OpenVinoGraph(LoadedGraph):
    """Compiled models: one for the usual sizes, one for all others.

    A request holds its own buffers, so each call takes one from a pool and nobody waits.
    """

    def __init__(
        self,
        graph: CheckedGraph,
        spec: GraphSpec,
        compiled: Any,
        usual: Mapping[str, int],
        *,
        engine: str,
        held: object,
    ) -> None:
        super().__init__(graph.name, spec, engine=engine)
        self._weights = held
        self._watch = Watch(f"{self.name} on {engine}")
        self._check_sizes = graph.check
        self._compile = compiled
        self._usual = [tensor.sized(usual) for tensor in spec.inputs] if usual else None
        self._lock = threading.Lock()
        self._models: dict[bool, Any] = {bool(usual): compiled(usual)}
        self._idle: dict[bool, list[Any]] = {True: [], False: []}

    def _compute(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        self._check_sizes({name: np.shape(array) for name, array in feeds.items()})
        usual = self._usual == [feeds[tensor.name].shape for tensor in self.inputs]
        request = self._take(usual)
        try:
            given = {name: np.ascontiguousarray(array) for name, array in feeds.items()}
            self._watch.run(lambda: request.infer(given, share_inputs=True), request.cancel)
            # The buffers belong to the request, which the next call writes to.
            results = {spec.name: request.get_tensor(spec.name).data.copy() for spec in self.outputs}
        except RuntimeError as error:
            raise RunError(f"{self.name} failed in OpenVINO: {_reason(error)}") from error
        with self._lock:  # one that failed or was stopped is not used again
            self._idle[usual].append(request)
        return results

    def _take(self, usual: bool) -> Any:
        with self._lock:
            if self._idle[usual]:
                return self._idle[usual].pop()
            if usual not in self._models:
                self._models[usual] = self._compile({})
            return self._models[usual].create_infer_request()


def _usual_sizes(bundle: Bundle, spec: GraphSpec) -> dict[str, int]:
    """Sizes of a full window with a short query, for graphs whose axes they fix; else nothing.

    Fixed sizes made `tiny` faster: X-encoder 0.75-0.9, predictor 0.65-0.8 of the time with free ones (two busy
    Zen 4 cores, runs in turns).
    """
    sizes = {BATCH: 1, TOKENS: bundle.manifest.preprocess.tokens, LENGTH: LENGTHS[0]}
    free = free_axes(spec.inputs)
    return sizes if TOKENS in free and free <= set(sizes) else {}


def _is_small(bundle: Bundle, spec: GraphSpec) -> bool:
    """Whether a graph has too little to do for a second thread: one token or vector, and few weights to read."""
    return not free_axes(spec.inputs) & {TOKENS, LENGTH} and _bytes(bundle, spec) < SMALL_BYTES


def _bytes(bundle: Bundle, spec: GraphSpec) -> int:
    return sum(bundle.manifest.files[name].size for name in (spec.file, *spec.external))


def _check_sizes(bundle: Bundle, spec: GraphSpec, model: Any, what: str) -> None:
    """Hold a model that was read, and computes nothing yet, to the limits of its bundle's graphs.

    Raises:
        BundleError: it asks for more, or its sizes do not follow from those of its inputs.
    """
    feeds = feed_shapes(bundle.manifest, spec)
    limit, fixed, computed = graph_limit(bundle, spec, feeds), set(), 0
    sized = model.clone()
    sized.reshape({name: list(shape) for name, shape in feeds.items()})
    for operation in sized.get_ordered_ops():
        kind = operation.get_type_name()
        shapes = [output.get_partial_shape() for output in operation.outputs()]
        if not all(shape.is_static for shape in shapes):
            raise BundleError(f"{what}: the sizes of {kind} depend on values: export it again")
        values = sum(math.prod(shape.to_shape()) for shape in shapes)
        if kind in ("Constant", "ShapeOf"):  # of a shape that is fixed by now
            fixed.add(operation.get_name())
            continue
        sources = [each.get_source_output().get_node().get_name() for each in operation.inputs()]
        if sources and fixed.issuperset(sources):
            fixed.add(operation.get_name())
            computed += values
        if max(values, computed) > limit:
            raise BundleError(
                f"{what}: {kind} takes it to {max(values, computed):.3g} values, expected at most {limit:.3g} for its "
                "size: export it again, or ask its maker for a clean one"
            )


def _reshaped(model: Any, spec: GraphSpec, sizes: Mapping[str, int]) -> Any:
    if not sizes:
        return model
    fixed = model.clone()
    fixed.reshape({tensor.name: list(tensor.sized(sizes)) for tensor in spec.inputs})
    return fixed


def _types(ports: Any) -> dict[str, str]:
    return {port.any_name: port.element_type.to_dtype().name for port in ports}


def _reason(error: RuntimeError) -> str:
    """The last telling line of OpenVINO's message, which starts with its own source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check "))] or lines
    return " ".join(telling)[:300] or type(error).__name__
