"""torch on the same windows, eager and compiled."""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from measuring import STEPS, Results, frames_of, median_ms, network, torch_feeds, wait_for


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
