"""ONNX Runtime on one execution provider, never silently on another."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import numpy as np

from vljepa_runtime.bundle import Bundle, GraphSpec
from vljepa_runtime.contract import PREDICTOR, X_ENCODER
from vljepa_runtime.engines.captured import CapturedRuns
from vljepa_runtime.engines.device_tensors import run_bound
from vljepa_runtime.engines.graph_files import unpacked
from vljepa_runtime.engines.protocol import (
    Array,
    Graph,
    LoadedGraph,
    Tensor,
    check_loaded,
    require_target,
)
from vljepa_runtime.engines.session_options import session_options
from vljepa_runtime.engines.watched import Watch
from vljepa_runtime.errors import (
    DeviceMissingError,
    GraphRefusedError,
    LibraryMissingError,
    RunError,
)
from vljepa_runtime.graphs.checking import CheckedGraph, checked_graph, feed_shapes
from vljepa_runtime.interruptible import interruptible

__all__ = ["PROVIDERS", "OnnxRuntimeEngine", "available_devices"]

T = TypeVar("T")

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
# Device name -> the provider asked for, then those it hands its leftovers to.
PROVIDERS = {
    "cpu": (CPU,),
    "cuda": (CUDA, CPU),
    "cuda-graph": (CUDA, CPU),
    "tensorrt": ("TensorrtExecutionProvider", CUDA, CPU),
    "nvtensorrtrtx": ("NvTensorRTRTXExecutionProvider", CUDA, CPU),
    "coreml": ("CoreMLExecutionProvider", CPU),
}
# What a provider is told. A norm that is fused with the sum before it adds up in its own type unless this is said.
_SETTINGS = {CUDA: {"enable_skip_layer_norm_strict_mode": "1"}}
# Devices whose results can stay in their memory, and the library's word for that memory.
_MEMORY = {"cuda": "cuda", "cuda-graph": "cuda", "tensorrt": "cuda", "nvtensorrtrtx": "cuda"}
# The one device that captures, and the graphs that have a usual size: those of a window.
_CAPTURE = "enable_cuda_graph"
_CAPTURING, _CAPTURED = "cuda-graph", (X_ENCODER, PREDICTOR)
_HINTS = {
    **dict.fromkeys(
        ("cuda", "cuda-graph"), "install onnxruntime-gpu (on a Jetson the build of its own JetPack)"
    ),
    "tensorrt": "install onnxruntime-gpu and TensorRT",
    "nvtensorrtrtx": "install an onnxruntime built with TensorRT for RTX",
    "coreml": "use macOS, where the onnxruntime wheel has it",
}
_DTYPES = {
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(float16)": "float16",
    "tensor(bfloat16)": "bfloat16",
    "tensor(float)": "float32",
    "tensor(bool)": "bool",
}
_IN_MEMORY = "add_external_initializers_from_files_in_memory"
# An Identity graph of one float (IR 8, opset 17): does the provider really start?
_PROBE = bytes.fromhex(
    "08083a370a100a017812017922084964656e746974791201705a0f0a0178120a"
    "0a08080112040a020801620f0a0179120a0a08080112040a02080142040a001011"
)


def available_devices() -> tuple[str, ...]:
    """Devices whose provider is in the installed ONNX Runtime; one may still fail to start."""
    present = set(_library().get_available_providers())
    return tuple(device for device, providers in PROVIDERS.items() if providers[0] in present)


def _library() -> Any:
    try:
        import onnxruntime
    except ImportError as error:  # not there, or a shared library that it needs is not
        raise LibraryMissingError(f"onnxruntime does not load: {error}: install it again") from error
    return onnxruntime


class OnnxRuntimeEngine:
    """Loads `.onnx` graphs on one device.

    Args:
        device: A key of `PROVIDERS`.
        threads: Threads inside an operator; None takes one per core.

    Raises:
        DeviceMissingError: the provider is not installed or does not start.
    """

    def __init__(self, device: str = "cpu", *, threads: int | None = None) -> None:
        self.name = f"onnxruntime:{device}"
        self._providers = PROVIDERS[device]
        self._memory = _MEMORY.get(device, "")
        self._captures = device == _CAPTURING
        self._threads = threads
        if device not in available_devices():
            raise DeviceMissingError(
                f"{self.name}: the installed ONNX Runtime has no {self._providers[0]}: "
                f"{_HINTS.get(device, 'reinstall it')}, or pass allow_fallback=True (--allow-fallback)"
            )
        if device != "cpu":
            self._session(_PROBE, session_options(self._threads), "a probe", captured=False)

    @property
    def detail(self) -> str:
        """Version, and the provider that computes."""
        onnxruntime = _library()

        return f"ONNX Runtime {onnxruntime.__version__}, {self._providers[0]}"

    def load(self, bundle: Bundle, graph_name: str) -> Graph:
        """See `Engine.load`."""
        spec = bundle.graph(graph_name)
        require_target(self.name, bundle, "onnx")
        if self._providers[0] == CPU and bundle.manifest.execution.get(graph_name) == "bf16":
            raise GraphRefusedError(
                f"{self.name} has no kernels for bfloat16, which {bundle.name}/{graph_name} is in: "
                "use --engine onnxruntime:cuda, or export with --precision int8 or fp32"
            )
        graph = checked_graph(bundle, graph_name)
        options = session_options(self._threads, graph.graph)
        what, captured = f"{bundle.name}/{graph_name}", self._captures and graph_name in _CAPTURED
        if spec.external and not hasattr(options, _IN_MEMORY):
            # Before 1.24, which Python 3.10 is limited to: from a folder of our own, where nothing else lies.
            with unpacked(bundle, spec) as path:
                session = self._session(str(path), options, what, captured=captured)
        else:
            weights = _add_external(options, bundle, spec)  # copied, but not before the session is made
            session = self._session(_as_bytes(graph.content), options, what, captured=captured)
            weights.clear()
            bundle.check_unchanged((spec.file, *spec.external))
        check_loaded(what, spec, inputs=_types(session.get_inputs()), outputs=_types(session.get_outputs()))
        made = _OnnxRuntimeGraph(graph, spec, session, self.name, self._memory)
        if captured:
            made.capture(feed_shapes(bundle.manifest, spec))
        return made

    def _session(self, content: str | bytes, options: Any, what: str, *, captured: bool) -> Any:
        onnxruntime, providers = _library(), list(self._usable({_CAPTURE: "1"} if captured else {}))

        try:
            session = interruptible(
                lambda: onnxruntime.InferenceSession(content, options, providers=providers),
                lambda: getattr(options, "set_load_cancellation_flag", bool)(True),
                name=what,
            )
        except Exception as error:  # the library raises its own types and bare RuntimeError
            raise GraphRefusedError(
                f"{self.name} refused {what}: {_first_line(error)}: try another --engine"
            ) from error
        running = session.get_providers()
        if self._providers[0] not in running:
            raise DeviceMissingError(
                f"{self.name}: {self._providers[0]} did not start, ONNX Runtime fell back to {running[0]}: "
                "check the driver and its libraries, or pass allow_fallback=True (--allow-fallback)"
            )
        return session

    def _usable(self, more: Mapping[str, str]) -> tuple[str | tuple[str, dict[str, str]], ...]:
        """Providers to name, with settings: asking for one that is not compiled in would only warn."""
        onnxruntime = _library()

        present = set(onnxruntime.get_available_providers())
        return tuple(
            (provider, {**_SETTINGS[provider], **more}) if provider in _SETTINGS else provider
            for provider in self._providers
            if provider in present
        )


def _add_external(options: Any, bundle: Bundle, spec: GraphSpec) -> list[memoryview]:
    """Hand over weight files; they must stay alive until the session is made."""
    blocks = [bundle.view(name) for name in spec.external]
    folder = posixpath.dirname(spec.file) or "."
    names = [posixpath.relpath(name, folder) for name in spec.external]
    if blocks:
        getattr(options, _IN_MEMORY)(names, blocks, [len(block) for block in blocks])
    return blocks


def _as_bytes(content: memoryview) -> bytes:
    return content.obj if isinstance(content.obj, bytes) else bytes(content)


class _OnnxRuntimeGraph(LoadedGraph):
    """A session.

    Args:
        graph: What was looked at.
        spec: What the manifest says.
        session: The library's.
        engine: What computes, for messages.
        memory: The library's word for a memory of the device's own; empty where it computes in the host's.
    """

    def __init__(
        self, graph: CheckedGraph, spec: GraphSpec, session: Any, engine: str, memory: str = ""
    ) -> None:
        super().__init__(graph.name, spec, engine=engine)
        self._check_sizes = graph.check
        self._watch = Watch(f"{self.name} on {engine}")
        self._run_options = _library().RunOptions
        self._names = [output.name for output in spec.outputs]
        self._session, self._memory = session, memory
        self._captured: CapturedRuns | None = None

    def capture(self, usual: Mapping[str, tuple[int, ...]]) -> None:
        """Capture the first run of these shapes, and replay it from then on."""
        self._captured = CapturedRuns(self._session, self.inputs, self.outputs, usual, device=self._memory)

    def _compute(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        if self._captured is not None:
            return {name: np.asarray(value) for name, value in self._compute_keeping(feeds, ()).items()}
        values = self._watched(feeds, lambda options: self._session.run(self._names, dict(feeds), options))
        return dict(zip(self._names, values))

    def _compute_keeping(self, feeds: Mapping[str, Tensor], keep: Collection[str]) -> dict[str, Tensor]:
        if not self._memory:
            return super()._compute_keeping(feeds, keep)
        captured = self._captured
        if captured is not None:
            return self._watched(feeds, lambda options: captured.run(feeds, keep=keep, options=options))
        outputs = [(spec.name, spec.dtype) for spec in self.outputs]
        return self._watched(
            feeds,
            lambda options: run_bound(
                self._session, feeds, outputs, keep=keep, device=self._memory, options=options
            ),
        )

    def _watched(self, feeds: Mapping[str, Tensor], work: Callable[[Any], T]) -> T:
        self._check_sizes({name: value.shape for name, value in feeds.items()})
        options = self._run_options()
        try:
            return self._watch.run(lambda: work(options), lambda: setattr(options, "terminate", True))
        except RunError:
            raise
        except Exception as error:  # the library raises its own types and bare RuntimeError
            raise RunError(f"{self.name} failed in ONNX Runtime: {_first_line(error)}") from error


def _types(nodes: Any) -> dict[str, str]:
    return {node.name: _DTYPES.get(node.type, node.type) for node in nodes}


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
