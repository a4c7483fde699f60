"""What token policies and carried embeddings save, and what they cost; the numbers of docs/tokens.md.

    python tests/measure_tokens.py streams [--streams N] [--minutes M] [--rounds N] [CLIP ...]
    python tests/measure_tokens.py clips [--clips N]
    python tests/measure_tokens.py hour [--minutes M] [--noise LEVELS ...] [--carry S]
    python tests/measure_tokens.py carried [--minutes M] [--noise LEVELS ...] [--carry S]
    python tests/measure_tokens.py motion CLIP ...
    python tests/measure_tokens.py tried [--streams N] [--minutes M]

`streams`: every way runs over the same pictures in turns, round by round, by CPU time of one thread; each window's
embedding is compared with that of all tokens. Streams are those of the procedural world, whose backgrounds stand still
between cuts, and files that are named. `clips`: held-out tasks. `hour`: a still scene with noise and slow light, and
whether what comes after it is seen. `carried`: what a window costs that keeps its embedding, at the geometry of `tiny`
and of full size. `motion`: what motion vectors of H.264 cost beside what pixels cost. `tried`: what else could be done
with the tokens of static tubelets, by the cosine to all tokens. Each prints a Markdown table, and with --json one
document.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import vljepa_runtime as vj
from vljepa_data.world import Split, make_stream
from vljepa_evaluation.tasks import evaluate
from vljepa_runtime.preprocessing.cells import cell_means, shrink
from vljepa_runtime.preprocessing.changes import Noise, WindowGate, changes
from vljepa_runtime.preprocessing.stand_ins import stand_ins
from vljepa_runtime.sources import EVERY_FRAME

WAYS: dict[str, dict[str, Any]] = {
    "all": {},
    "all, carried": {"carry_s": 30.0},
    "static": {"tokens": "static"},
    "static, carried": {"tokens": "static", "carry_s": 30.0},
    "static:12, carried": {"tokens": "static:12", "carry_s": 30.0},
    "budget:128": {"tokens": "budget:128"},
    "budget:96": {"tokens": "budget:96"},
    "budget:64": {"tokens": "budget:64"},
}
FIRST_SEED = 7_000  # no stream of any training or tuning
FPS = 8.0
AT_ONCE = 240  # frames
FULL_SIZE = vj.Preprocess(frames=16, fps=4.0, size=256, patch=16)
Float32 = npt.NDArray[np.float32]


class Pictures(vj.Source):
    """Frames that are in memory, or made one by one; the time that this takes is not the session's."""

    live = False

    def __init__(self, name: str, frames: Any) -> None:
        self.name, self._frames, self.spent_s = name, frames, 0.0

    def frames(self, hints: vj.Hints = EVERY_FRAME) -> Iterator[vj.Frame]:
        """All of them."""
        frames = iter(self._frames)
        while True:
            begun = time.thread_time()  # a microsecond or many, by the machine: not for every frame
            some = list(islice(frames, AT_ONCE))
            self.spent_s += time.thread_time() - begun
            if not some:
                return
            yield from some

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Told:
    """What a session gave."""

    cpu_s: float = 0.0
    rows: list[Float32] = field(default_factory=list)
    times_s: list[tuple[float, float]] = field(default_factory=list)
    carried: list[bool] = field(default_factory=list)
    tokens: int = 0

    def take(self, window: vj.Window, query: str, embedding: Float32) -> None:
        """A window."""
        self.rows.append(embedding)
        self.times_s.append((window.start_s, window.end_s))
        self.carried.append(window.carried)


def run(model: vj.Model, source: Pictures, options: dict[str, Any]) -> Told:
    """One session over a source."""
    told = Told()
    begun = time.process_time()
    with model.session(decode="never", select="uniform:1000", **options) as session:
        for _ in session.run(source, on_window=told.take):
            pass
        told.tokens = session.stats.tokens
    told.cpu_s = time.process_time() - begun - source.spent_s
    return told


def world(
    seed: int, minutes: float, *, still: float = 0.0
) -> tuple[list[vj.Frame], list[tuple[float, float, str]]]:
    """A stream of the procedural world as frames, and its events with their brief captions.

    Args:
        seed: Of the stream.
        minutes: How long events go on, all together.
        still: Share of the time in which nothing happens: after each event its last picture stays, with the noise of a
            sensor.
    """
    stream = make_stream(seed, Split.TEST, minutes=minutes, fps=FPS)
    images, noise = iter(stream), np.random.default_rng(seed)
    shown: list[npt.NDArray[np.uint8]] = []
    events: list[tuple[float, float, str]] = []
    for event in stream.events:
        begun = len(shown)
        count = round(event.end_s * FPS) - round(event.start_s * FPS)
        shown += [image for _, image in zip(range(count), images)]
        events.append((begun / FPS, len(shown) / FPS, event.brief))
        last = shown[-1].astype(np.float32)
        for _ in range(round(count * still / (1 - still))):
            picture = last + noise.normal(0, 2, last.shape).astype(np.float32)
            shown.append(np.clip(picture, 0, 255).astype(np.uint8))
    frames = [
        vj.Frame(image=image, time_s=index / FPS, index=index, duration_s=1 / FPS)
        for index, image in enumerate(shown)
    ]
    return frames, events


def file(model: vj.Model, path: str) -> list[vj.Frame]:
    """What of a file the sampler will use."""
    with vj.open_source(path) as source:
        items = source.frames(vj.hints_for(model.preprocess))
        return [item for item in items if isinstance(item, vj.Frame)]


def right(
    model: vj.Model, told: Told, events: list[tuple[float, float, str]], texts: list[str]
) -> list[bool]:
    """Of windows inside one event: whether its caption is the nearest one."""
    rows, found = model.embed_text(texts), []
    for (start_s, end_s), embedding in zip(told.times_s, told.rows):
        inside = [text for begin, end, text in events if begin <= start_s + 0.01 and end_s - 0.01 <= end]
        if inside:
            found.append(texts[int((rows @ embedding).argmax())] == inside[0])
    return found


def streams(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Speed, cosine and accuracy of every way, stream by stream."""
    model = vj.load("tiny", threads=1)
    seeds = range(FIRST_SEED, FIRST_SEED + args.streams)
    quiet = {f"quiet {seed}": world(seed, args.minutes / 3, still=0.75) for seed in seeds}
    made = {f"world {seed}": world(seed, args.minutes) for seed in seeds} | quiet
    sources: dict[str, Any] = {name: frames for name, (frames, _) in made.items()}
    sources |= {Path(path).stem: file(model, path) for path in args.files}
    texts = sorted({text for _, events in made.values() for _, _, text in events})
    told: dict[str, dict[str, list[Told]]] = {way: {name: [] for name in sources} for way in WAYS}
    for number in range(args.rounds):
        for name, frames in sources.items():
            for way in list(WAYS)[:: 1 if number % 2 else -1]:
                told[way][name].append(run(model, Pictures(name, frames), WAYS[way]))
    rows = []
    for way in WAYS:
        groups = {"world": [name for name in made if name not in quiet], "world, 3/4 still": [*quiet]}
        groups |= {name: [name] for name in sources if name not in made}
        for group, names in groups.items():
            ratios = [
                sum(told["all"][name][number].cpu_s for name in names)
                / sum(told[way][name][number].cpu_s for name in names)
                for number in range(args.rounds)
            ]
            cosines = np.concatenate([
                np.einsum("ws,ws->w", np.stack(told[way][name][0].rows), np.stack(told["all"][name][0].rows))
                for name in names
            ])  # fmt: skip
            carried = np.concatenate([told[way][name][0].carried for name in names])
            hits = [
                hit
                for name in names
                if name in made
                for hit in right(model, told[way][name][0], made[name][1], texts)
            ]
            windows = len(carried)
            rows.append({
                "way": way, "stream": group, "windows": windows,
                "speed": statistics.median(ratios), "least": min(ratios), "most": max(ratios),
                "p1": float(np.percentile(cosines, 1)), "p50": float(np.median(cosines)),
                "least_carried": float(cosines[carried].min()) if carried.any() else None,
                "carried": float(carried.mean()),
                "tokens": sum(told[way][name][0].tokens for name in names) / windows / model.preprocess.tokens,
                "right": float(np.mean(hits)) if hits else None,
            })  # fmt: skip
    return rows


class Selecting:
    """A model whose every clip is encoded in part."""

    def __init__(self, model: vj.Model, tokens: str) -> None:
        self._model, self._tokens = model, tokens
        self.count = self.clips = 0

    def encode(self, frames: Any) -> Float32:
        """The wanted tokens."""
        patches, _ = self._model.patches(frames, tokens=self._tokens)
        self.count, self.clips = self.count + len(patches), self.clips + 1
        return self._model.encode(frames, tokens=self._tokens)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def clips(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Held-out tasks under every policy."""
    model, rows = vj.load("tiny", threads=1), []
    for tokens in ("all", "static", "static:12", "budget:128", "budget:96", "budget:64"):
        chosen = Selecting(model, tokens)
        row: dict[str, Any] = {"tokens": tokens}
        for found in evaluate(
            chosen, tasks=["classification", "retrieval", "vqa/colour", "vqa/direction"], clips=args.clips
        ):
            row[found.task] = found.main.value if found.main is not None else None
        row["share"] = chosen.count / chosen.clips / model.preprocess.tokens
        rows.append(row)
    return rows


def still_hour(
    seconds: float, *, noise: float, then: str, seed: int = 5, fps: float = 4.0, size: int = 96
) -> Iterator[vj.Frame]:
    """A scene with noise and slowly changing light; after `seconds` of it something comes, for four seconds more."""
    scene = np.asarray(next(iter(make_stream(seed, Split.TEST, minutes=0.1, size=size))), np.float32)
    draw = np.random.default_rng(seed)
    bank = (
        draw.normal(0, noise, (8, *scene.shape)).astype(np.float32)
        if noise
        else np.zeros((8, 1, 1, 1), np.float32)
    )
    for index in range(round((seconds + 4) * fps)):
        time_s = index / fps
        light = 1 + 0.2 * np.sin(2 * np.pi * time_s / 3600) + 0.01 * np.sin(2 * np.pi * 7.3 * time_s)
        picture = scene * np.float32(light) + np.roll(bank[index % 8], int(draw.integers(size)), axis=1)
        if time_s >= seconds and then == "object":
            picture[40:52, 40:52] = (215, 35, 35)
        image = np.clip(picture, 0, 255).astype(np.uint8)
        yield vj.Frame(image=image, time_s=time_s, index=index, duration_s=1 / fps)


def hour(args: argparse.Namespace) -> list[dict[str, Any]]:
    """A still scene for long."""
    model, rows = vj.load("tiny", threads=1), []
    seconds = args.minutes * 60
    for noise in args.noise:
        dense = run(model, Pictures("dense", still_hour(seconds, noise=noise, then="object")), {})
        kept = run(
            model, Pictures("kept", still_hour(seconds, noise=noise, then="object")), {"carry_s": args.carry}
        )
        cosines = np.einsum("ws,ws->w", np.stack(kept.rows), np.stack(dense.rows))
        first = next(number for number, (_, end_s) in enumerate(dense.times_s) if end_s > seconds + 0.3)
        seen = next((number for number in range(first, len(kept.carried)) if not kept.carried[number]), None)
        rows.append({
            "noise": noise, "windows": len(kept.rows), "encoded": kept.carried.count(False),
            "cost": kept.cpu_s / dense.cpu_s, "p1": float(np.percentile(cosines, 1)), "least": float(cosines.min()),
            "windows_until_seen": None if seen is None else seen - first,
        })  # fmt: skip
    return rows


def carried(args: argparse.Namespace) -> list[dict[str, Any]]:
    """What a window costs that keeps its embedding, by the geometry of the model: no graph takes part."""
    rows = []
    for name, pre in (("tiny", vj.load("tiny").preprocess), ("16 x 256 x 256", FULL_SIZE)):
        for noise in args.noise:
            sampler, gate = vj.WindowSampler(pre), WindowGate[bool](Noise(), max_age_s=args.carry)
            spent_s, windows, encoded = 0.0, 0, 0
            pictures = still_hour(args.minutes * 60, noise=noise, then="", fps=pre.fps, size=pre.size)
            while some := list(islice(pictures, AT_ONCE)):
                begun = time.process_time()
                for window in (each for frame in some for each in sampler.push(frame)):
                    windows += 1
                    if gate.found_for(window) is None:
                        gate.encoded(window, True)
                        encoded += 1
                spent_s += time.process_time() - begun
            rows.append({
                "geometry": name, "noise": noise, "windows": windows, "encoded": encoded,
                "ms_a_window": spent_s / windows * 1000,
            })  # fmt: skip
    return rows


def motion(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Motion vectors beside pixels."""
    import av
    from av.codec.context import Flags2

    model, rows = vj.load("tiny", threads=1), []
    for path in args.files:
        spent: dict[bool, list[float]] = {False: [], True: []}
        moved: list[float] = []
        for number in range(2 * args.rounds):
            exports = bool(number % 2)
            begun, frames = time.process_time(), 0
            with av.open(path) as container:
                stream = container.streams.video[0]
                if exports:
                    stream.codec_context.flags2 |= Flags2.export_mvs
                for frame in container.decode(stream):
                    frames += 1
                    if exports and (side := frame.side_data.get("MOTION_VECTORS")) is not None:
                        found = side.to_ndarray()
                        area = found["w"].astype(np.int64) * found["h"]
                        moves = (found["motion_x"] != 0) | (found["motion_y"] != 0)
                        moved.append(float(area[moves].sum() / (frame.width * frame.height)))
            spent[exports].append((time.process_time() - begun) / frames)
        clip = model.read_clip(path, seconds=2)
        begun = time.process_time()
        for _ in range(200):
            cell_means([shrink(each.pixels, clip.preprocess) for each in clip.fitted], clip.preprocess)
        rows.append({
            "file": Path(path).stem,
            "vectors_ms_a_frame": 1000 * (statistics.median(spent[True]) - statistics.median(spent[False])),
            "pixels_ms_a_window": (time.process_time() - begun) / 200 * 1000,
            "moved": statistics.mean(moved) if moved else None,
        })  # fmt: skip
    return rows


def tried(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Other uses of static tubelets: how near they come, and what encoder and predictor would see."""
    model = vj.load("tiny", threads=1)
    grid, tokens = model.preprocess.grid, model.preprocess.tokens
    found: dict[str, list[tuple[float, int, int]]] = {}
    for seed in range(FIRST_SEED, FIRST_SEED + args.streams):
        sampler, before = vj.WindowSampler(model.preprocess), None
        for frame in world(seed, args.minutes)[0]:
            for window in sampler.push(frame):
                patches, positions = model.patches(window.clip)
                whole = model.encode_patches(patches, positions)
                dense = model.predict(whole)
                some, where = model.patches(window.clip, tokens="static")
                part = model.encode_patches(some, where)
                repeated = part[stand_ins(where, grid)]
                cells = window.clip.cells
                ways = {
                    "left out": (part, len(part)),
                    "static": (repeated, len(part)),
                    "all, pairs of instants merged before the predictor": (_in_pairs(whole, grid), tokens),
                    "static, then pairs of instants merged": (_in_pairs(repeated, grid), len(part)),
                }
                if before is not None:
                    changed = (changes(cells, before[1], model.preprocess) > 6).reshape(-1)
                    kept = before[0].copy()
                    if changed.any():
                        kept[changed] = model.encode_patches(patches[changed], positions[changed])
                    ways["tokens of the window before where nothing changed"] = kept, int(changed.sum())
                before = whole, cells
                for name, (visual, encoded) in ways.items():
                    row = float(model.predict(np.ascontiguousarray(visual)) @ dense), encoded, len(visual)
                    found.setdefault(name, []).append(row)
    return [
        {
            "way": name,
            "encoder": float(np.mean([encoded for _, encoded, _ in rows])) / tokens,
            "predictor": float(np.mean([predicted for _, _, predicted in rows])) / tokens,
            "p1": float(np.percentile([cosine for cosine, _, _ in rows], 1)),
            "p50": float(np.median([cosine for cosine, _, _ in rows])),
        }
        for name, rows in found.items()
    ]


def _in_pairs(visual: Float32, grid: tuple[int, int, int]) -> Float32:
    """Means of two instants each."""
    return visual.reshape(grid[0] // 2, 2, -1, visual.shape[-1]).mean(axis=1).reshape(-1, visual.shape[-1])


def table(rows: Sequence[dict[str, Any]]) -> str:
    """As Markdown."""
    keys = list(rows[0])
    shown = [
        [f"{row[key]:.4g}" if isinstance(row[key], float) else str(row[key]) for key in keys] for row in rows
    ]
    lines = [keys, ["---"] * len(keys), *shown]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


WHAT = {
    "streams": streams,
    "clips": clips,
    "hour": hour,
    "carried": carried,
    "motion": motion,
    "tried": tried,
}


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=tuple(WHAT))
    parser.add_argument("files", nargs="*", metavar="CLIP")
    parser.add_argument("--streams", type=int, default=4, metavar="N")
    parser.add_argument("--minutes", type=float, metavar="M")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--clips", type=int, default=240, metavar="N")
    parser.add_argument("--carry", type=float, default=30.0, metavar="S")
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 2.0, 5.0, 9.0], metavar="LEVELS")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_intermixed_args()
    args.minutes = args.minutes or {"hour": 60.0, "carried": 5.0}.get(args.what, 2.0)
    rows = WHAT[args.what](args)
    print(json.dumps(rows) if args.json else table(rows))


if __name__ == "__main__":
    main()
