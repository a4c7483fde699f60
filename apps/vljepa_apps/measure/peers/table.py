"""The lines of a measurement side by side, a row each. Imports no library that a peer needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from vljepa_runtime.errors import InputError
from vljepa_runtime.suggestions import did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    from vljepa_apps.measure.peers.protocol import Backend
    from vljepa_apps.measure.peers.workload import Workload

__all__ = ["ALL", "PEERS", "Peer", "chosen"]

ALL = "all"
TORCH, EXPORT = "pip install -e '.[train]'", "pip install -e '.[export]'"
OPENVINO = "pip install -e '.[export,openvino-export]'"
CUDA = "pip install onnxruntime-gpu, in an environment of its own (--peer-python)"
ON_CUDA = {"cpu": "", "cuda": " on CUDA"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One way to run a checkpoint.

    Attributes:
        name: After `--against`.
        title: In tables.
        module: File of this room: `prepare` writes what it runs, `open_backend` opens that.
        products: Type in which weights are multiplied, for the ceiling that it is held against.
        attention: Type of the products inside attention.
        install: What brings its libraries.
        device: `cpu` or `cuda`.
        ours: Made by this project's exporter, run by its runtime.
        needs: What a machine must have for it to make sense: `cuda`, `bf16` (instructions of the processor) or nothing.
        options: For its module.
    """

    name: str
    title: str
    module: str
    products: str
    attention: str
    install: str
    device: str = "cpu"
    ours: bool = False
    needs: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    def prepare(self, workload: Workload, folder: Path) -> None:
        """Write what it runs into its folder, once: exports, quantised graphs."""
        self._module.prepare(self, workload, folder)

    def open(self, workload: Workload, folder: Path, *, threads: int | None) -> Backend:
        """Ready to run what `prepare` wrote."""
        backend: Backend = self._module.open_backend(self, workload, folder, threads=threads)
        return backend

    @property
    def _module(self) -> Any:
        return import_module(f"vljepa_apps.measure.peers.{self.module}")


def _ours(format: str, precision: str, products: str, attention: str) -> Peer:
    """Exported by this project, run by its runtime on a CPU."""
    library = {"onnx": "ONNX", "openvino": "OpenVINO"}[format]
    engine = {"onnx": "onnxruntime:cpu", "openvino": "openvino:cpu"}[format]
    return Peer(
        name=f"ours-{format}-{precision}",
        title=f"ours, {library} {precision}",
        module="ours",
        products=products,
        attention=attention,
        install=EXPORT if format == "onnx" else OPENVINO,
        ours=True,
        options={"format": format, "precision": precision, "engine": engine},
    )


def _ours_on_cuda(kind: str) -> Peer:
    return Peer(
        name=f"ours-cuda-{kind}",
        title=f"ours on CUDA, ONNX {kind}",
        module="ours",
        products=kind,
        attention=kind,
        install=CUDA,
        device="cuda",
        ours=True,
        needs="cuda",
        options={"format": "onnx", "precision": kind, "engine": "onnxruntime:cuda-graph"},
    )


def _torch(kind: str, *, compiled: bool = False, device: str = "cpu") -> Peer:
    what = "torch.compile" if compiled else "torch eager"
    parts = ["torch", *(["compile"] if compiled else []), *(["cuda"] if device == "cuda" else []), kind]
    return Peer(
        name="-".join(parts),
        title=f"{what}{ON_CUDA[device]}, {kind}",
        module="pytorch",
        products=kind,
        attention=kind,
        install=TORCH,
        device=device,
        needs=_needs(kind, device),
        options={"compiled": "yes"} if compiled else {},
    )


def _stock_onnx(device: str) -> Peer:
    return Peer(
        name="onnx-stock" if device == "cpu" else "onnx-stock-cuda",
        title=f"ONNX Runtime{ON_CUDA[device]}, stock export, fp32",
        module="stock_onnx",
        products="fp32",
        attention="fp32",
        install=EXPORT if device == "cpu" else CUDA,
        device=device,
        needs=_needs("fp32", device),
    )


def _stock_openvino(kind: str) -> Peer:
    return Peer(
        name=f"openvino-{kind}",
        title=f"OpenVINO, {kind}",
        module="stock_openvino",
        products=kind,
        attention=kind,
        install=OPENVINO,
        needs=_needs(kind, "cpu"),
        options={"computes": {"fp32": "f32", "bf16": "bf16"}[kind]},
    )


def _nncf() -> Peer:
    return Peer(
        name="openvino-nncf",
        title="OpenVINO, NNCF defaults, int8 + bf16",
        module="stock_openvino",
        products="int8",
        attention="bf16",
        install=OPENVINO,
        options={"quantised": "yes"},
    )


def _needs(kind: str, device: str) -> str:
    return "cuda" if device == "cuda" else "bf16" if kind == "bf16" else ""


PEERS = (
    _ours("onnx", "int8", products="int8", attention="fp32"),
    _ours("openvino", "int8", products="int8", attention="bf16"),
    _torch("fp32"),
    _torch("bf16"),
    _torch("fp32", compiled=True),
    _torch("bf16", compiled=True),
    _stock_onnx("cpu"),
    _stock_openvino("fp32"),
    _stock_openvino("bf16"),
    _nncf(),
    _ours_on_cuda("fp16"),
    _ours_on_cuda("bf16"),
    _torch("fp32", device="cuda"),
    _torch("bf16", device="cuda"),
    _torch("bf16", compiled=True, device="cuda"),
    _stock_onnx("cuda"),
)


def chosen(listed: str) -> tuple[Peer, ...]:
    """The rows that `--against` names: all, or some with commas between them.

    Raises:
        InputError: no row has that name.
    """
    if listed == ALL:
        return PEERS
    return tuple(_named(name.strip()) for name in listed.split(",") if name.strip())


def _named(name: str) -> Peer:
    rows = {peer.name: peer for peer in PEERS}
    if name not in rows:
        hint = did_you_mean(name, rows, lead=": ")
        raise InputError(f"expected --against {ALL}, or some of {', '.join(rows)}, got {name!r}{hint}")
    return rows[name]
