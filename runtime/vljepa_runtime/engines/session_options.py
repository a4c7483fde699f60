"""How ONNX Runtime's sessions are told to run: for bundles, and for whatever they are measured beside."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from vljepa_runtime.engines.cores import usable_cores
from vljepa_runtime.engines.processor import cuts_off_sums

if TYPE_CHECKING:
    from vljepa_runtime.graphs.onnx_file import OnnxGraph

__all__ = ["session_options", "sums_are_cut_off", "whole_sums"]

WHOLE_SUMS_SINCE = 1, 32  # tried; 1.20 ends the process


def whole_sums(options: Any, graph: OnnxGraph | None = None) -> None:
    """Ask for sums of 8-bit products that are not cut off, where this ONNX Runtime can run the graph so.

    Without VNNI x86 adds pairs of products in 16 bits: `tiny` missed three of its gates there (a text's cosine 0.983
    instead of 0.9999). Unsigned weights cost no time that could be measured.
    """
    if _has_whole_sums() and (graph is None or _can_be_unsigned(graph)):
        options.add_session_config_entry("session.x64quantprecision", "1")


def _has_whole_sums() -> bool:
    """Whether this ONNX Runtime can be told not to cut sums off."""
    import onnxruntime

    return tuple(int(part) for part in onnxruntime.__version__.split(".")[:2]) >= WHOLE_SUMS_SINCE


def sums_are_cut_off() -> bool:
    """Whether int8 is less exact here than it should be: x86 without VNNI, and an ONNX Runtime that knows no better."""
    return cuts_off_sums() and not _has_whole_sums()


def _can_be_unsigned(graph: OnnxGraph) -> bool:
    """Whether its weights may be made unsigned: 1.32 fails where nodes share some, or restore some without zeros."""
    restored = any(node.kind == "DequantizeLinear" and len(node.inputs) < 3 for node in graph.nodes)
    uses = Counter(name for node in graph.nodes if node.kind != "Gather" for name in node.inputs)
    matrices = (
        name for name, constant in graph.constants.items() if constant.whole and len(constant.shape) > 1
    )
    return not restored and all(uses[name] < 2 for name in matrices)


def session_options(threads: int | None, graph: OnnxGraph | None = None) -> Any:
    """Options of a new session.

    Args:
        threads: Threads inside an operator; None takes one per core.
        graph: What it is going to run, where that is known.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised, with a hint
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = threads or usable_cores()  # a number given is tied to no core
    # Idle threads that spin take the cores that decode video: on two busy server cores a small
    # attention stack took 28-33 ms without and 52-66 ms with spinning.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    whole_sums(options, graph)
    # Three such sessions: 35 MB without arena and pattern, 39 MB with, at about the same speed.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    # What was looked at is ONNX; the library would take other formats for what they seem to be.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    return options
