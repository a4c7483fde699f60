"""X-encoder and predictor of full width on this CPU: ours beside OpenVINO's and NNCF's defaults and torch, in turns.

    python tests/measure_full_size.py FOLDER --layers 4 2 --threads 1 --rounds 5
    python tests/measure_full_size.py FOLDER --only 'onnx int8' peer --graph predictor
    ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16 python tests/measure_full_size.py FOLDER    # as a CPU without AMX

Few layers of full width over a full window of the procedural world, with random weights as `tests/full_size.py` draws
them; graphs are made in FOLDER at the first run and kept. Milliseconds are lower quartiles of wall time; beside them
the CPU time, which other work on the machine does not change: with one thread that is what to compare.
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from full_size import _Random

from vljepa_data.world import Split, make_clip
from vljepa_evaluation.gates import Sample
from vljepa_export.graph_passes import IR_VERSION, OPSET
from vljepa_export.graphs import GraphDefinition, graph_definition
from vljepa_export.onnx_export import trace_graph
from vljepa_export.parity import compare, torch_outputs
from vljepa_export.targets import onnx as onnx_target
from vljepa_export.targets import openvino as openvino_target
from vljepa_export.targets.protocol import TracedGraph
from vljepa_model import ModelConfig
from vljepa_model.predictor import Predictor
from vljepa_model.x_encoder import XEncoder
from vljepa_quant import precisions_of
from vljepa_quant.weights_file import WeightsFile
from vljepa_runtime import Preprocess
from vljepa_runtime.contract import PREDICTOR, X_ENCODER, feeds_of
from vljepa_runtime.engines.openvino_library import import_untracked, shared_core
from vljepa_runtime.preprocessing import SalientTokens, clip_tokens, fit_frames

VOCABULARY, SHORT, ASKED = (
    1024,
    32,
    12,
)  # rows of the table; ids of a query, and how many of them are none of padding
CALIBRATED, CALIBRATION_TOKENS = 8, 256  # as `effort.GRAPH_BY_GRAPH`
TORCH, NNCF = "torch eager fp32", "peer: NNCF int8 + bf16"
Feeds = dict[str, np.ndarray]
Run = Callable[[Feeds], Any]


@dataclass
class Subject:
    """One graph: what it is, what it is shown, and what torch gives for it."""

    name: str
    definition: GraphDefinition
    window: Feeds
    calibration: list[Feeds]
    wanted: tuple[np.ndarray, ...] = ()
    ways: dict[str, Run] = field(default_factory=dict)


def config_of(layers: tuple[int, int]) -> ModelConfig:
    whole = ModelConfig.preset("paper")
    return replace(
        whole,
        x_encoder=replace(whole.x_encoder, depth=layers[0]),
        predictor=replace(whole.predictor, depth=layers[1], vocab_size=VOCABULARY),
    )


def network(kind: type, argument: Any) -> torch.nn.Module:
    module = kind(argument).eval()
    shapes = {name: tuple(value.shape) for name, value in module.named_parameters()}
    made = _Random(shapes, centred=False)
    with torch.no_grad():
        for name, value in module.named_parameters():
            value.copy_(made(name))
    return module


def windows(config: ModelConfig, count: int, tokens: int, seed: int) -> list[Feeds]:
    sizes = config.x_encoder
    pre = Preprocess(frames=sizes.frames, size=sizes.size, patch=sizes.patch, tubelet=sizes.tubelet)
    found = []
    for index in range(count):
        frames = make_clip(seed + index, Split.TEST, size=sizes.size, frames=sizes.frames).frames
        patches, positions = clip_tokens(fit_frames(frames, pre), tokens=SalientTokens(tokens))
        found.append(feeds_of(X_ENCODER, patches[None], positions[None]))
    return found


def asked(visual: np.ndarray, seed: int) -> Feeds:
    ids = np.random.default_rng(seed).integers(3, VOCABULARY, (1, SHORT)).astype(np.int32)
    mask = (np.arange(SHORT) < ASKED).astype(np.int32)[None]
    return feeds_of(PREDICTOR, visual, ids * mask, mask)


def subjects(layers: tuple[int, int], graphs: list[str]) -> Iterator[Subject]:
    config = config_of(layers)
    tokens = int(np.prod(config.x_encoder.grid))
    window = windows(config, 1, tokens, seed=0)[0]
    calibration = windows(config, CALIBRATED, CALIBRATION_TOKENS, seed=10_000)
    encoder = graph_definition(X_ENCODER, network(XEncoder, config.x_encoder), config)
    visual = torch_outputs(encoder, window)
    if X_ENCODER in graphs:
        yield Subject(X_ENCODER, encoder, window, calibration, visual)
    if PREDICTOR in graphs:
        seen = [asked(torch_outputs(encoder, feeds)[0], seed) for seed, feeds in enumerate(calibration)]
        del encoder
        predictor = graph_definition(PREDICTOR, network(Predictor, config), config)
        shown = asked(visual[0], 99)
        yield Subject(PREDICTOR, predictor, shown, seen, torch_outputs(predictor, shown))


def traced(subject: Subject, folder: Path, *, fused: bool) -> TracedGraph:
    """The float graph on disk, made at the first run."""
    path = folder / ("fused" if fused else "plain") / f"{subject.name}.onnx"
    weights = path.with_suffix(".weights")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        editor = trace_graph(subject.definition, fused_attention=fused)
        with WeightsFile(weights) as file:
            editor.save(path, file, opset=OPSET, ir_version=IR_VERSION)
    return TracedGraph(
        contract=subject.definition.contract,
        path=path,
        beside=(weights,),
        network=lambda: subject.definition.module,
    )


def onnx_way(precision: str, subject: Subject, folder: Path, threads: int) -> Run:
    place, float_graph = folder / f"onnx-{precision}", traced(subject, folder, fused=True)
    path = float_graph.path if precision == "fp32" else place / f"{subject.name}.onnx"
    if not path.exists():
        place.mkdir(exist_ok=True)
        onnx_target.convert(float_graph, precisions_of("onnx")[precision], samples=(), folder=place)
    return onnx_session(path, threads)


def onnx_session(path: Path, threads: int) -> Run:
    """As `vljepa_runtime.engines.onnxruntime` opens one."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda feeds: session.run(None, feeds)


def openvino_way(precision: str, subject: Subject, folder: Path, threads: int) -> Run:
    row = precisions_of("openvino")[precision]
    place = folder / f"openvino-{precision}"
    path = place / f"{subject.name}.xml"
    if not path.exists():
        place.mkdir(exist_ok=True)
        float_graph = traced(subject, folder, fused=False)
        openvino_target.convert(float_graph, row, samples=subject.calibration, folder=place)
    return openvino_request(shared_core().read_model(path), subject, row.execution, threads)


def peer_bf16(subject: Subject, folder: Path, threads: int) -> Run:
    model = shared_core().read_model(traced(subject, folder, fused=False).path)
    return openvino_request(model, subject, "bf16", threads)


def peer_nncf(subject: Subject, folder: Path, threads: int) -> Run:
    """What NNCF's guide gives in ten lines: its defaults for transformers, calibrated on the same windows."""
    openvino, path = import_untracked("openvino"), folder / "peer" / f"{subject.name}.xml"
    if not path.exists():
        nncf = import_untracked("nncf")
        model = shared_core().read_model(traced(subject, folder, fused=False).path)
        data = nncf.Dataset([dict(feeds) for feeds in subject.calibration])
        model = nncf.quantize(model, data, model_type=nncf.ModelType.TRANSFORMER, subset_size=CALIBRATED)
        path.parent.mkdir(exist_ok=True)
        openvino.save_model(model, path)
    return openvino_request(shared_core().read_model(path), subject, "bf16", threads)


def openvino_request(model: Any, subject: Subject, execution: str, threads: int) -> Run:
    """As `vljepa_runtime.engines.openvino` compiles for a full window."""
    model.reshape({name: list(value.shape) for name, value in subject.window.items()})
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": execution,
        "ENABLE_CPU_PINNING": False,
    }
    options |= {"NUM_STREAMS": 0} if threads == 1 else {"INFERENCE_NUM_THREADS": threads}
    request = shared_core().compile_model(model, "CPU", options).create_infer_request()

    def run(feeds: Feeds) -> list[np.ndarray]:
        request.infer(feeds, share_inputs=True)
        return [request.get_output_tensor(0).data.copy()]

    return run


WAYS: dict[str, Callable[[Subject, Path, int], Run]] = {
    TORCH: lambda subject, folder, threads: partial(torch_outputs, subject.definition),
    "peer: openvino bf16": peer_bf16,
    NNCF: peer_nncf,
    "ours: onnx fp32": partial(onnx_way, "fp32"),
    "ours: onnx int8": partial(onnx_way, "int8"),
    "ours: openvino int8": partial(openvino_way, "int8"),
    "ours: openvino int8-weights": partial(openvino_way, "int8-weights"),
}


@dataclass
class Times:
    """Of one way, in ms."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, call: Callable[[], object]) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        self.wall.append(1e3 * (time.perf_counter() - wall))
        self.cpu.append(1e3 * (time.process_time() - cpu))


def low(values: list[float]) -> float:
    """The lower quartile, which what else runs changes least."""
    return statistics.quantiles(values, n=4)[0] if len(values) > 1 else values[0]


def products(subject: Subject, config: ModelConfig) -> list[tuple[str, int, tuple[int, int, int]]]:
    """All matrix products of the blocks: type in which they can run best, how many, sizes (rows, inner, columns)."""
    rows, sizes = int(np.prod(config.x_encoder.grid)), config.x_encoder
    shapes = [(sizes.width, 3 * sizes.width), (sizes.width, sizes.mlp)]
    if subject.name == PREDICTOR:
        rows, sizes = rows + SHORT, config.predictor
        both = (sizes.heads + 2 * sizes.kv_heads) * sizes.head_dim
        shapes = [(sizes.width, both), (sizes.width, 2 * sizes.mlp)]
    shapes += [(sizes.width, sizes.width), (sizes.mlp, sizes.width)]
    head = sizes.width // sizes.heads
    attended = [(rows, head, rows), (rows, rows, head)]
    layers = [("int8", sizes.depth, (rows, *shape)) for shape in shapes]
    return layers + [("bf16", sizes.depth * sizes.heads, shape) for shape in attended]


def ceiling_ms(subject: Subject, config: ModelConfig) -> float:
    """The same products and nothing else, in oneDNN's kernels: int8 for layers, bfloat16 for attention."""
    total = 0.0
    for kind, count, (rows, inner, columns) in products(subject, config):
        call = int8_product(rows, inner, columns) if kind == "int8" else bf16_product(rows, inner, columns)
        times = Times()
        for _ in range(4):
            times.add(call)
        total += count * min(times.cpu if torch.get_num_threads() == 1 else times.wall)
    return total


def int8_product(rows: int, inner: int, columns: int) -> Callable[[], object]:
    with torch.no_grad():
        layer = torch.ao.nn.quantized.Linear(inner, columns)
    x = torch.quantize_per_tensor(torch.randn(rows, inner), 0.05, 128, torch.quint8)
    return lambda: layer(x)


def bf16_product(rows: int, inner: int, columns: int) -> Callable[[], object]:
    a, b = torch.randn(rows, inner).bfloat16(), torch.randn(inner, columns).bfloat16()
    return lambda: a @ b


def measure(subject: Subject, args: argparse.Namespace) -> dict[str, Any]:
    """Runs in turns, after one to warm up that is compared with torch."""
    decibels, times = {}, {}
    for name, way in WAYS.items():
        if not args.only or any(re.search(part, name) for part in args.only):
            subject.ways[name] = way(subject, args.folder, args.threads)
            sample = Sample(feeds=subject.window, outputs=subject.wanted)
            decibels[name] = compare(subject.definition.contract, [sample], subject.ways[name]).psnr_db
            times[name] = Times()
            gc.collect()
    for _ in range(args.rounds):
        for name, way in subject.ways.items():
            times[name].add(partial(way, subject.window))
    least = ceiling_ms(subject, config_of(tuple(args.layers)))
    slow = low(times[TORCH].cpu) if TORCH in times else None
    peer = low(times[NNCF].cpu) if NNCF in times else None
    print(
        f"\n{subject.name}: {args.layers} layers, {args.threads} threads; its products alone {least:.0f} ms of CPU"
    )
    print(
        "| | ms | spread | ms of CPU | x torch | x peer | of the ceiling | PSNR |\n|---|---|---|---|---|---|---|---|"
    )
    found = {}
    for name, each in times.items():
        cpu, wall = low(each.cpu), low(each.wall)
        shares = [slow and slow / cpu, peer and peer / cpu, least / cpu]
        found[name] = {"ms": wall, "cpu_ms": cpu, "min_ms": min(each.wall), "psnr_db": decibels[name]}
        cells = [f"{share:.2f}" if share else "" for share in shares]
        print(
            f"| {name} | {wall:.0f} | {min(each.wall):.0f}-{max(each.wall):.0f} | {cpu:.0f} | "
            f"{' | '.join(cells)} | {decibels[name]:.1f} |"
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, nargs=2, default=(4, 2), metavar=("X", "P"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="patterns in the names of what to run")
    parser.add_argument("--graph", nargs="*", default=[X_ENCODER, PREDICTOR])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.backends.quantized.engine = "onednn"
    args.folder.mkdir(parents=True, exist_ok=True)
    found = {s.name: measure(s, args) for s in subjects(tuple(args.layers), args.graph)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
