"""What a GPU says: conformance, gates, and windows and words at the published sizes, beside torch in the same run.

    python tests/gpu/graphs.py GRAPHS        # once, anywhere with torch: minutes
    python tests/gpu/run.py GRAPHS --out OUT # on the GPU machine: about two minutes; JSON and a table

Sections are processes of their own: what one breaks leaves the others alone. What is checked runs beside what is built;
what is timed has the machine to itself. `--device cpu --small` rehearses all of it without a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDERS = ("runtime", "data", "evaluation", "model", "quant", "export", "apps")
PRECISIONS = ("fp16", "bf16")
# Device, and what its provider is told besides what the engine says: kernels of attention, how it finds products.
# By section: what breaks with one kernel leaves the others alone.
VARIANTS: dict[str, dict[str, tuple[str, dict[str, str], dict[str, str]]]] = {
    "ours": {"usual": ("cuda", {}, {})},
    "captured": {"captured": ("cuda-graph", {}, {})},
    "variants": {
        "captured, tuned": ("cuda-graph", {}, {"ORT_CUDA_GEMM_AUTO_TUNE": "1"}),
        "captured, cudnn": ("cuda-graph", {"sdpa_kernel": "26"}, {}),
    },
}
QUERIES = ("What happens?", "What colour is it?", "Where is it?", "How many are there?")
STEPS = 24


def import_everything() -> None:
    """Torch first: it brings the CUDA libraries that ONNX Runtime looks for."""
    sys.path[:0] = [str(ROOT / folder) for folder in FOLDERS] + [str(Path(__file__).parent)]
    import torch  # noqa: F401


class Results:
    """Numbers by name, on disk after each one."""

    def __init__(self, path: Path) -> None:
        self.path, self.values = path, {}
        self.started = time.monotonic()

    def add(self, name: str, value: Any) -> None:
        self.values[name] = value
        self.path.write_text(json.dumps(self.values, indent=1))
        print(f"[{time.monotonic() - self.started:6.1f} s] {self.path.stem}: {name}: {value}", flush=True)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Go on after a failure, and say what it was."""
        try:
            yield
        except Exception as error:
            self.add(f"{name} failed", f"{type(error).__name__}: {error}"[:600])
            traceback.print_exc()


def median_ms(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    slow = time.perf_counter() - started > 0.5  # a rehearsal without a GPU
    runs = 2 if slow else 30
    for _ in range(0 if slow else 4):
        call()
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - started))
    return round(statistics.median(times), 3)


def wait_for(path: Path, limit_s: float = 300) -> None:
    started = time.monotonic()
    while not path.exists():
        if time.monotonic() - started > limit_s:
            raise TimeoutError(f"{path.name} did not come")
        time.sleep(0.05)


def bundle_of(
    args: argparse.Namespace, model: Any, which: str, precision: str, names: tuple[str, ...]
) -> Any:
    """A bundle of a network in a precision, in memory; texts and prompts are the shipped ones."""
    from graphs import filled

    from vljepa_export.graphs import graph_definition
    from vljepa_quant import precisions_of
    from vljepa_runtime import Bundle, Preprocess
    from vljepa_runtime.bundle import GraphSpec
    from vljepa_runtime.contract import NETWORKS

    row, shipped = precisions_of("onnx")[precision], Bundle.open("tiny")
    files = {
        name: bytes(shipped.read(name))
        for name in shipped.manifest.files
        if not name.endswith((".onnx", ".weights"))
    }
    graphs = {}
    for name in names:
        definition = graph_definition(name, getattr(model, NETWORKS[name]), model.config)
        editor = filled(args.graphs / which / f"{name}.onnx", definition)
        row.edit(editor)
        files[f"{name}.onnx"] = editor.finish().SerializeToString()
        graphs[name] = GraphSpec(file=f"{name}.onnx", inputs=definition.inputs, outputs=definition.outputs)
    sizes = model.config.x_encoder
    pre = Preprocess(frames=sizes.frames, fps=4.0, size=sizes.size, patch=sizes.patch, tubelet=sizes.tubelet)
    manifest = replace(
        shipped.manifest,
        name=f"{which}-{precision}",
        graphs=graphs,
        precision=dict.fromkeys(names, row.label),
        execution=dict.fromkeys(names, row.execution),
        embedding_dim=model.config.embedding_dim,
        preprocess=shipped.manifest.preprocess if which == "tiny" else pre,
        parity={}, accuracy={}, constants={}, notes={}, gates={},
    )  # fmt: skip
    return Bundle.in_memory(manifest, files)


def write_bundles(args: argparse.Namespace, results: Results) -> None:
    """`tiny` in every precision, for the suite and the gates."""
    from graphs import tiny

    from vljepa_runtime.bundle import write_bundle
    from vljepa_runtime.contract import GRAPH_NAMES

    model = tiny()
    for precision in (*PRECISIONS, "fp32"):
        with results.part(precision):
            made = bundle_of(args, model, "tiny", precision, GRAPH_NAMES)
            files = {name: bytes(made.read(name)) for name in made.manifest.files}
            write_bundle(args.out / f"tiny-{precision}.vljepa", made.manifest, files, force=True)
    results.add("written", sorted(path.name for path in args.out.glob("*.vljepa")))


def conformance(args: argparse.Namespace, results: Results) -> None:
    """The suite of every engine, on this one, with both bundles."""
    bundles = [f"--bundle={args.out / f'tiny-{precision}.vljepa'}" for precision in args.precisions]
    command = [
        sys.executable, "-m", "pytest", "tests/conformance", "-q", "-p", "no:cacheprovider",
        "-o", "filterwarnings=default", "-k", args.tests or args.device,
        f"--reference={args.out / 'tiny-fp32.vljepa'}", *bundles,
    ]  # fmt: skip
    if args.device == "cuda" and find_spec("xdist"):
        command += ["-n", "6"]
    folders = os.pathsep.join([*(str(ROOT / folder) for folder in FOLDERS), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": folders}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=110, env=environment, check=False
    )
    lines = done.stdout.strip().splitlines()
    (args.out / "conformance.txt").write_text(done.stdout[-200_000:] + done.stderr[-20_000:])
    failed = [line[:300] for line in lines if line.startswith(("FAILED", "ERROR"))]
    results.add("summary", lines[-1] if lines else done.stderr[-300:])
    results.add("failed", failed[:20])


def gates(args: argparse.Namespace, results: Results) -> None:
    """`vljepa verify` of both bundles, against what the float model gave."""
    from vljepa_evaluation.gates import Reference, check_gates
    from vljepa_quant import limits_for
    from vljepa_runtime import Bundle, open_engine

    reference = Reference.of(Bundle.open("tiny"))
    if args.small:
        reference = Reference(samples=reference.samples)
    for precision in args.precisions:
        with results.part(precision):
            bundle = Bundle.open(args.out / f"tiny-{precision}.vljepa")
            found = check_gates(bundle, open_engine(args.engine), reference, limits=limits_for)
            results.add(
                f"{precision} graphs",
                {
                    graph.name: [
                        round(graph.parity.mean_cosine, 6),
                        round(graph.parity.worst_cosine, 6),
                        graph.misses,
                    ]
                    for graph in found.graphs
                    if graph.parity is not None
                },
            )
            if found.agreement is not None:
                ends = found.agreement
                results.add(
                    f"{precision} end to end",
                    [round(x, 5) for x in (ends.embedding_worst, ends.overlap, ends.labels, ends.triggers)],
                )
            results.add(
                f"{precision} missed", [*found.misses, *(m for graph in found.graphs for m in graph.misses)]
            )


def checks(args: argparse.Namespace, results: Results) -> None:
    """All that is not timed."""
    for part in (write_bundles, conformance, gates):
        with results.part(part.__name__):
            part(args, results)


def network(args: argparse.Namespace) -> Any:
    """The published sizes with seeded weights; on the GPU where there is one."""
    import torch
    from graphs import paper

    from vljepa_model import VLJEPA

    torch.manual_seed(0)
    with torch.device(args.device):
        model = VLJEPA(paper(depth=0.1, width=0.5) if args.small else paper())
    return model.to(args.device).eval()


def frames_of(model: Any) -> Any:
    import numpy as np

    sizes = model.config.x_encoder
    return np.random.default_rng(0).integers(0, 256, (sizes.frames, sizes.size, sizes.size, 3), np.uint8)


def ours(args: argparse.Namespace, results: Results) -> None:
    """Windows through `Model.embed` and steps of the decoder, in both types and every variant."""
    import torch

    import vljepa_runtime as vj
    from vljepa_runtime.contract import PREDICTOR, PREFILL, STEP, X_ENCODER
    from vljepa_runtime.engines import onnxruntime
    from vljepa_runtime.graphs import onnx_file

    which, names = "small" if args.small else "paper", (X_ENCODER, PREDICTOR, PREFILL, STEP)
    network_, models, bundles = network(args), {}, {}
    frames = frames_of(network_)
    if args.device == "cuda":
        results.add(
            "on", [torch.cuda.get_device_name(), torch.__version__, onnxruntime._library().__version__]
        )
    settings = onnxruntime._SETTINGS.setdefault(onnxruntime.CUDA, {})
    usual = dict(settings)
    for precision in args.precisions:
        with results.part(f"{precision} bundle"):
            bundles[precision] = bundle_of(args, network_, which, precision, names)
            results.add(f"{precision} bundle", "made")
    for precision, bundle in bundles.items():
        for variant, (device, options, environment) in VARIANTS[args.section].items():
            if args.device == "cpu" and variant != "usual":
                continue
            with results.part(f"{precision} {variant}"):
                settings.update(options)
                os.environ.update(environment)
                try:
                    models[precision, variant] = vj.Model(
                        bundle, vj.open_engine(f"onnxruntime:{device if args.device == 'cuda' else 'cpu'}")
                    )
                    models[precision, variant].embed(frames)
                    results.add(f"{precision} {variant}", "runs")
                    onnx_file._check_numbers = lambda *_: None  # looked at once: gigabytes take seconds
                finally:
                    settings.clear()
                    settings.update(usual)
                    for name in environment:
                        os.environ.pop(name, None)
    wanted, tokens = right(args, network_, frames)
    del network_
    if args.device == "cuda":
        torch.cuda.empty_cache()
    (args.out / f"{args.section}-ready").touch()
    wait_for(args.out / f"{args.section}-go")
    for (precision, variant), model in models.items():
        with results.part(f"{precision} {variant} timed"):
            found = window_ms(model, frames, wanted, tokens)
            if variant == "usual":
                found["step"] = step_ms(model)
            results.add(f"{precision} {variant} ms", found)


def window_ms(model: Any, frames: Any, wanted: Any, tokens: Any) -> dict[str, float]:
    """A window through our engine, whole and in parts, and how near it comes."""
    import numpy as np

    patches, positions = model.patches(frames)
    visual = model.encode_on_device(patches, positions)
    return {
        "embed": median_ms(lambda: model.embed(frames, QUERIES[0])),
        "fit": median_ms(lambda: model.patches(frames)),
        "x_encoder": median_ms(lambda: model.encode_on_device(patches, positions)),
        "x_encoder to numpy": median_ms(lambda: model.encode_patches(patches, positions)),
        "predictor": median_ms(lambda: model.predict(visual, QUERIES[0])),
        "four queries": median_ms(lambda: four(model, frames)),
        "embedding cosine": round(float(model.embed(frames, QUERIES[0]) @ wanted), 6),
        "worst token cosine": round(worst_cosine(np.asarray(visual), tokens), 6),
    }


def four(model: Any, frames: Any) -> None:
    visual = model.encode_on_device(*model.patches(frames))
    for query in QUERIES:
        model.predict(visual, query)


def worst_cosine(ours_: Any, theirs: Any) -> float:
    import numpy as np

    norms = np.linalg.norm(ours_, axis=-1) * np.linalg.norm(theirs, axis=-1)
    return float(((ours_ * theirs).sum(axis=-1) / norms).min())


def right(args: argparse.Namespace, model: Any, frames: Any) -> tuple[Any, Any]:
    """Embedding and visual tokens in float32, without TF32."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    feeds = torch_feeds(args, model, frames)
    with torch.inference_mode():
        visual = model.x_encoder(*feeds[:2])
        return model.predictor(visual, *feeds[2:])[0].cpu().numpy(), visual[0].cpu().numpy()


def torch_feeds(args: argparse.Namespace, model: Any, frames: Any) -> list[Any]:
    import torch

    import vljepa_runtime as vj
    from vljepa_runtime.preprocessing import fit_frames, patchify

    sizes = model.config.x_encoder
    pre = vj.Preprocess(
        frames=sizes.frames, fps=4.0, size=sizes.size, patch=sizes.patch, tubelet=sizes.tubelet
    )
    patches, positions = patchify(fit_frames(frames, pre))
    given = (patches[None], positions[None], *words())
    return [torch.from_numpy(array).to(args.device) for array in given]


@cache
def words() -> tuple[Any, Any]:
    """The first query, once: `Model` remembers its own, too."""
    import vljepa_runtime as vj
    from vljepa_runtime.contract import PREDICTOR

    ids, mask = vj.Bundle.open("tiny").tokenizer_for(PREDICTOR).encode([QUERIES[0]])
    return ids, mask


def step_ms(model: Any) -> float:
    """Of one step of a decoding of `STEPS`, prefill left out."""
    import numpy as np

    from vljepa_runtime.contract import LOGITS, PREFILL, STEP, feeds_of
    from vljepa_runtime.engines.protocol import run_keeping

    prefill, step = (model._engine.load(model.bundle, name) for name in (PREFILL, STEP))
    embedding = np.full((1, model.embedding_dim), model.embedding_dim**-0.5, np.float32)
    past = [spec.name for spec in step.inputs if spec.name.startswith("past_")]
    grown = [name.replace("past_", "next_") for name in past]

    def decode() -> float:
        outputs = run_keeping(prefill, feeds_of(PREFILL, embedding), past)
        caches = {name: outputs[name] for name in past}
        started = time.perf_counter()
        for _ in range(STEPS):
            token = np.asarray(outputs[LOGITS]).argmax(axis=-1)[:, None].astype(np.int32)
            outputs = run_keeping(step, {**feeds_of(STEP, token), **caches}, grown)
            caches = {name: outputs[new] for name, new in zip(past, grown)}
        return 1e3 * (time.perf_counter() - started) / STEPS

    return round(statistics.median(decode() for _ in range(8)), 3)


def theirs(args: argparse.Namespace, results: Results) -> None:
    """torch on the same windows, eager and compiled, in bfloat16: frames in, embedding out."""
    import torch

    from vljepa_export.graphs import graph_definition
    from vljepa_runtime.contract import X_ENCODER

    with torch.inference_mode():
        model = network(args)
        frames = frames_of(model)
        encoder = graph_definition(X_ENCODER, model.x_encoder, model.config).module.to(torch.bfloat16)
        predictor, decoder = model.predictor.to(torch.bfloat16), model.y_decoder.to(torch.bfloat16)
        modes = {"eager": (encoder, predictor), "eager again": (encoder, predictor)}
        with results.part("compile"):
            started = time.monotonic()
            compiled = torch.compile(encoder), torch.compile(predictor)
            torch_embed(args, model, frames, *compiled)
            results.add("compiled in s", round(time.monotonic() - started, 1))
            modes = {"eager": modes["eager"], "compile": compiled, "compile again": compiled}
        (args.out / "theirs-ready").touch()
        wait_for(args.out / "theirs-go")
        for mode, (x, p) in modes.items():
            with results.part(mode):
                results.add(f"torch {mode} bf16 ms", torch_ms(args, model, frames, x, p))
        with results.part("step"):
            results.add("torch eager bf16 step ms", torch_step_ms(args, decoder))


def torch_ms(
    args: argparse.Namespace, model: Any, frames: Any, encoder: Any, predictor: Any
) -> dict[str, float]:
    """A window through torch, whole and in parts."""
    feeds = torch_feeds(args, model, frames)
    visual = encoder(*feeds[:2])
    return {
        "embed": median_ms(lambda: torch_embed(args, model, frames, encoder, predictor)),
        "x_encoder": median_ms(lambda: waited(args, encoder(*feeds[:2]))),
        "predictor": median_ms(lambda: waited(args, predictor(visual, *feeds[2:]))),
    }


def waited(args: argparse.Namespace, value: Any) -> Any:
    import torch

    if args.device == "cuda":
        torch.cuda.synchronize()
    return value


def torch_embed(args: argparse.Namespace, model: Any, frames: Any, encoder: Any, predictor: Any) -> Any:
    feeds = torch_feeds(args, model, frames)
    return predictor(encoder(*feeds[:2]), *feeds[2:]).float().cpu().numpy()


def torch_step_ms(args: argparse.Namespace, decoder: Any) -> float:
    import torch

    width = decoder.prefix.in_features
    embedding = torch.full((1, width), width**-0.5, dtype=torch.bfloat16, device=args.device)

    def decode() -> float:
        logits, keys, values = decoder.prefill(embedding)
        waited(args, logits)
        started = time.perf_counter()
        for _ in range(STEPS):
            token = logits.argmax(dim=-1, keepdim=True)
            token.cpu()  # what was written has to be known: it may be the end
            logits, keys, values = decoder.step(token, keys, values)
        waited(args, logits)
        return 1e3 * (time.perf_counter() - started) / STEPS

    return round(statistics.median(decode() for _ in range(8)), 3)


SECTIONS = {"checks": checks, "ours": ours, "theirs": theirs, "captured": ours, "variants": ours}


def start(args: argparse.Namespace, section: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, *sys.argv[1:], "--section", section], cwd=ROOT)


def orchestrate(args: argparse.Namespace) -> None:
    """All sections at once, and the clock for one at a time."""
    args.out.mkdir(parents=True, exist_ok=True)
    for old in [*args.out.glob("*-ready"), *args.out.glob("*-go"), *args.out.glob("*.vljepa")]:
        old.unlink()
    started = time.monotonic()
    running = {name: start(args, name) for name in SECTIONS if name in args.only}

    def left(share: float) -> float:
        return max(1.0, args.limit_s * share - (time.monotonic() - started))

    try:
        if "checks" in running:
            running["checks"].wait(left(0.6))
    except subprocess.TimeoutExpired:
        print("the checks go on beside the timings", flush=True)
    timed = [name for name in running if name != "checks"]
    while left(0.75) > 1 and not all(is_ready(args, name, running[name]) for name in timed):
        time.sleep(0.1)
    for name in timed:
        (args.out / f"{name}-go").touch()
        try:
            running[name].wait(left(1.0))
        except subprocess.TimeoutExpired:
            print(f"{name} did not end in time", flush=True)
    for process in running.values():
        if process.poll() is None:
            process.kill()
    print(f"{time.monotonic() - started:.0f} s in all", flush=True)
    table(args)


def is_ready(args: argparse.Namespace, name: str, process: subprocess.Popen[bytes]) -> bool:
    return (args.out / f"{name}-ready").exists() or process.poll() is not None


def table(args: argparse.Namespace) -> None:
    found = {path.stem: json.loads(path.read_text()) for path in args.out.glob("*.json")}
    print(json.dumps(found.get("checks", {}), indent=1)[:3000])
    columns = ("embed", "x_encoder", "predictor", "four queries", "step")
    print(f"{'':34}" + "".join(f"{column:>14}" for column in columns))
    for section in ("theirs", *VARIANTS):
        for name, values in found.get(section, {}).items():
            if isinstance(values, dict):
                print(f"{name:34}" + "".join(f"{values.get(column, '')!s:>14}" for column in columns))
                print(" " * 36 + str({key: value for key, value in values.items() if key not in columns}))
            elif "step" in name or "failed" in name:
                print(name, values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("graphs", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--limit-s", type=float, default=170)
    parser.add_argument("--section", choices=SECTIONS)
    parser.add_argument("--only", nargs="*", default=list(SECTIONS))
    parser.add_argument("--tests", help="what pytest -k takes; the device otherwise")
    args = parser.parse_args()
    args.engine = f"onnxruntime:{args.device}"
    args.precisions = (
        PRECISIONS if args.device == "cuda" else PRECISIONS[:1]
    )  # no CPU has kernels for bfloat16
    args.graphs, args.out = args.graphs.resolve(), args.out.resolve()
    if not args.section:
        orchestrate(args)
        return
    import_everything()
    results = Results(args.out / f"{args.section}.json")
    with results.part(args.section):
        SECTIONS[args.section](args, results)


if __name__ == "__main__":
    main()
