"""Checkpoint -> float graphs on disk, one network in memory at a time, and what torch gives for their samples.

Nothing of a network is held after its graphs are written: what comes later works from the files.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import nn

from vljepa_evaluation.gates import Sample
from vljepa_export.effort import CALIBRATION_SEED, Effort
from vljepa_export.footage import OwnClips, own_footage, world_footage
from vljepa_export.graph_passes import IR_VERSION, OPSET
from vljepa_export.graphs import GraphDefinition, graph_definition, graphs_of
from vljepa_export.onnx_export import trace_graph
from vljepa_export.parity import Feeds
from vljepa_export.request import ExportRequest, chosen_budgets
from vljepa_export.samples import SampleChain
from vljepa_export.targets.protocol import TracedGraph
from vljepa_model.checkpoint import CheckpointFolder
from vljepa_quant.weights_file import WeightsFile
from vljepa_runtime.contract import NETWORKS, PREDICTOR, X_ENCODER

__all__ = ["Walked", "trace", "walk"]

OF_WINDOWS = (X_ENCODER, PREDICTOR)  # graphs that take all tokens of a window


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """A traced graph, and what to hold it and what is made of it to.

    Attributes:
        graph: On disk.
        samples: Inputs, and what torch gave for them.
        recorded: Those that the bundle may carry, which never show clips of one's own.
        calibration: Inputs to calibrate on.
        seconds: Time spent on it.
    """

    graph: TracedGraph
    samples: tuple[Sample, ...]
    recorded: tuple[Sample, ...]
    calibration: Sequence[Feeds]
    seconds: float

    @property
    def name(self) -> str:
        """Its name in the contract."""
        return self.graph.contract.name


def walk(
    opened: CheckpointFolder,
    request: ExportRequest,
    effort: Effort,
    folder: Path,
    report: Callable[[str], None],
    *,
    own: OwnClips | None = None,
) -> Iterator[list[Walked]]:
    """Trace every network, and give its graphs before the next one is read.

    Args:
        opened: The checkpoint.
        request: What was asked for.
        effort: How much to measure.
        folder: Gets one folder per network.
        report: Told what comes next.
        own: Clips to measure and calibrate on; None for the procedural world's.

    Raises:
        GraphContractError: a graph has other inputs or outputs than its contract.
    """
    chains = _chains(opened, request, effort, own)
    names = graphs_of(opened.config)
    fused = request.format.fuses_attention and 0 < effort.fuse_from <= opened.preprocess.tokens
    for network in dict.fromkeys(NETWORKS[name] for name in names):
        report(f"{network}: torch")
        place = folder / network
        place.mkdir()
        graphs = [name for name in names if NETWORKS[name] == network]
        traced = _trace_network(opened, graphs, place, chains, fused=fused)
        gc.collect()  # of the network
        yield traced


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chains:
    """Inputs for each purpose; None where there are none of their own."""

    parity: SampleChain
    recorded: SampleChain | None
    calibration: SampleChain | None


def _chains(
    opened: CheckpointFolder, request: ExportRequest, effort: Effort, own: OwnClips | None
) -> _Chains:
    pre = opened.preprocess
    budgets = chosen_budgets(request, pre.tokens)
    world = partial(world_footage, pre, clips=effort.clips)
    recorded, calibration = None, None
    if own and not effort.end_to_end:  # what was measured becomes the reference
        recorded = SampleChain(opened, world(), sizes=budgets)
    if request.is_calibrated:
        few = (min(effort.calibration_tokens, pre.tokens),) if effort.calibration_tokens else budgets
        shown = (
            own_footage(pre, own.calibration)
            if own
            else world(clips=effort.calibration_clips, seed=CALIBRATION_SEED, varied=True)
        )
        calibration = SampleChain(opened, shown, sizes=few)
    parity = SampleChain(opened, own_footage(pre, own.parity) if own else world(), sizes=budgets)
    return _Chains(parity=parity, recorded=recorded, calibration=calibration)


def trace(
    definition: GraphDefinition,
    weights: WeightsFile,
    network: Callable[[], nn.Module],
    *,
    fused_attention: bool = False,
) -> TracedGraph:
    """Write a float graph beside the file of its weights; see `onnx_export.trace_graph`."""
    path = weights.path.with_name(f"{definition.name}.onnx")
    editor = trace_graph(definition, fused_attention=fused_attention)
    editor.save(path, weights, opset=OPSET, ir_version=IR_VERSION)
    beside = (weights.path,) if weights.size else ()
    return TracedGraph(contract=definition.contract, path=path, beside=beside, network=network)


def _trace_network(
    opened: CheckpointFolder,
    names: Sequence[str],
    folder: Path,
    chains: _Chains,
    *,
    fused: bool,
) -> list[Walked]:
    """Take one network into memory, ask it everything, write its float graphs, and let it go."""
    network = NETWORKS[names[0]]
    again: Callable[[], nn.Module] = getattr(opened, network)
    module, traced = again(), []
    with WeightsFile(folder / f"{network}.weights") as weights:
        for name in names:
            started = time.monotonic()
            definition = graph_definition(name, module, opened.config)
            samples = chains.parity.samples(definition)
            recorded = chains.recorded.samples(definition) if chains.recorded else samples
            feeds: Sequence[Feeds] = [sample.feeds for sample in samples]
            if chains.calibration:
                feeds = chains.calibration.feeds(definition)
            graph = trace(definition, weights, again, fused_attention=fused and name in OF_WINDOWS)
            spent = time.monotonic() - started
            traced.append(
                Walked(graph=graph, samples=samples, recorded=recorded, calibration=feeds, seconds=spent)
            )
    return traced
