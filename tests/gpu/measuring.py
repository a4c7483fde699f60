"""What both sides of the comparison share: the clock, the windows, the network, and numbers kept as they come."""

from __future__ import annotations

import argparse
import json
import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

QUERIES = ("What happens?", "What colour is it?", "Where is it?", "How many are there?")
STEPS = 24


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
