"""Windows and words through this project's engine, in both types and every variant."""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import Any

from graphs import bundle_of
from measuring import QUERIES, STEPS, Results, frames_of, median_ms, network, torch_feeds, wait_for

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


def ours(args: argparse.Namespace, results: Results) -> None:
    """Windows through `Model.embed` and steps of the decoder, in both types and every variant."""
    import torch

    import vljepa_runtime as vj
    from vljepa_runtime.contract import PREDICTOR, PREFILL, STEP, X_ENCODER
    from vljepa_runtime.engines import onnxruntime
    from vljepa_runtime.graphs import onnx_file

    folder, names = args.graphs / ("small" if args.small else "paper"), (X_ENCODER, PREDICTOR, PREFILL, STEP)
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
            bundles[precision] = bundle_of(folder, network_, precision, names)
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
