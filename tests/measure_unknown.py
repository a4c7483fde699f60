"""Measures how well what a model knows is told from what it does not: `docs/unknown.md` has what this printed.

    python tests/measure_unknown.py SHARED/data                 # the folder of clips/, real/ and sign_digits/
    python tests/measure_unknown.py SHARED/data b1.vljepa ...   # how other bundles of tiny judge the same

Statistics are fitted to the world and photographs of `vljepa_evaluation.novelty` and judged on other seeds, other
photographs, and on footage that nothing was fitted to. Six minutes on one CPU core, two for each further bundle.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

import vljepa_runtime as vj
from vljepa_data.world import HandBank, Split, brief_captions, make_clip, make_stream
from vljepa_evaluation.novelty import KnownWindows, fit_novelty, known_world
from vljepa_evaluation.tasks.hands import hand_clips
from vljepa_evaluation.tasks.streams import FIRST_STREAM
from vljepa_runtime.sources import Frame, open_source
from vljepa_runtime.states import pool_tokens

Array = npt.NDArray[np.floating]
Shown = vj.Clip | npt.NDArray[np.uint8]
Found = dict[str, Array]
STREAMS, CLIPS, PHOTOS = 50, 200, 150
PHOTO_S = 5.0  # of a photograph in a stream of them
VIDEOS = ("*.mp4", "*.mkv", "*.webm", "*.avi")


class Made(vj.Source):
    """Pictures that are at hand as a source."""

    def __init__(self, name: str, pictures: Iterable[npt.NDArray[np.uint8]], each_s: float) -> None:
        self.name, self._pictures, self._each_s = name, pictures, each_s

    def frames(self, hints: vj.Hints = vj.EVERY_FRAME) -> Iterator[Frame]:
        """See `Source.frames`."""
        for index, image in enumerate(self._pictures):
            yield Frame(image=image, time_s=index * self._each_s, index=index, duration_s=self._each_s)

    def close(self) -> None:
        """Nothing is held."""


def videos(data: Path, folder: str) -> list[Path]:
    """All of a folder."""
    return sorted(path for kind in VIDEOS for path in (data / folder).rglob(kind))


def photos(data: Path, folder: str) -> list[npt.NDArray[np.uint8]]:
    """Every n-th photograph of a folder."""
    every = sorted((data / folder).rglob("*.jpg"))
    chosen = every[:: max(1, len(every) // PHOTOS)]
    return [np.asarray(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), np.uint8) for path in chosen]


def worlds(hands: HandBank | None) -> Iterator[vj.Source]:
    """The first minute of streams with the seeds of the measured ones."""
    for seed in range(FIRST_STREAM, FIRST_STREAM + STREAMS):
        stream = make_stream(seed, Split.TEST, minutes=1, size=96, fps=8, hands=hands)
        yield Made("the world", stream, 1 / 8)


def sources(data: Path) -> dict[str, list[Path] | list[vj.Source]]:
    """What nothing was fitted to, as streams: clips of others, falls, and photographs one after the other."""
    clips = videos(data, "clips")
    generated = [path for path in clips if "testsrc2" in path.name]
    shown: dict[str, list[Path] | list[vj.Source]] = {
        "clips of others": [path for path in clips if path not in generated],
        "test patterns": generated,
        "falls": videos(data, "real/falls"),
    }
    for name in ("grocery", "backgrounds", "fingers"):
        shown[name] = [Made(name, photos(data, f"real/{name}"), PHOTO_S)]
    return shown


def windows_in(source: Path | vj.Source, model: vj.Model) -> Iterator[vj.Clip]:
    """The windows of a session over a source, one a second."""
    sampler = vj.WindowSampler(model.preprocess, 1.0)
    with source if isinstance(source, vj.Source) else open_source(source) as opened:
        for item in opened.frames(vj.hints_for(model.preprocess)):
            if isinstance(item, Frame):
                yield from (window.clip for window in sampler.push(item))
    yield from (window.clip for window in sampler.flush())


def seen(model: vj.Model, windows: Iterable[Shown], *, predicts: bool) -> Found:
    """What a run has of each window: tokens pooled, and the predicted embedding where it is wanted."""
    tokens, embeddings = [], []
    for window in windows:
        visual = model.encode(window)
        tokens.append(pool_tokens(visual))
        embeddings.append(model.predict(visual) if predicts else visual[0])
    return {"tokens": np.stack(tokens), "embedding": np.stack(embeddings)}


def all_of(model: vj.Model, several: Iterable[Path | vj.Source], *, predicts: bool) -> Found:
    """The same of several sources."""
    windows = chain.from_iterable(windows_in(source, model) for source in several)
    return seen(model, windows, predicts=predicts)


def known_here(model: vj.Model, data: Path, *, predicts: bool) -> dict[str, Found]:
    """Windows of what the model knows, of seeds and photographs that were not fitted to."""
    pre = model.preprocess
    clips = (make_clip(80_000 + i, Split.TEST, size=pre.size, frames=pre.frames).frames for i in range(CLIPS))
    signs = hand_clips(HandBank.load(data / "sign_digits", "val"), 90_000)
    streams = all_of(model, worlds(None), predicts=predicts)
    found = {"streams": streams, "clips": seen(model, clips, predicts=predicts)}
    if knows_hands(model):
        found["hand signs"] = seen(model, (clip.frames for _, clip in signs), predicts=predicts)
    return found


def knows_hands(model: vj.Model) -> bool:
    """Whether it was calibrated on hand signs, whose photographs an export does not have."""
    spec = model.bundle.manifest.novelty
    return spec is not None and "hand signs" in spec.data


def statistics(model: vj.Model, data: Path) -> dict[str, Callable[[Found], Array]]:
    """Each gives a number per window, larger for what is unknown."""
    hands = HandBank.load(data / "sign_digits", "train")
    known = known_world(model.preprocess, windows=1200, hands=hands)
    fit = {name: seen(model, (window for _, window in shown), predicts=True) for name, shown in known}
    captions = model.embed_text(brief_captions())

    def distances(key: str) -> Callable[[Found], Array]:
        rows = {
            name: KnownWindows(rows=each[key], takes=np.arange(len(each[key]))) for name, each in fit.items()
        }
        novelty = fit_novelty(rows).novelty
        return lambda found: novelty.distances(found[key])

    def nearest(key: str) -> Callable[[Found], Array]:
        bank = np.concatenate([each[key] for each in fit.values()])
        return lambda found: np.asarray(1 - (found[key] @ bank.T).max(axis=1))

    return {
        "Mahalanobis, pooled visual tokens": distances("tokens"),
        "nearest known window, pooled visual tokens": nearest("tokens"),
        "Mahalanobis, predicted embedding": distances("embedding"),
        "nearest known window, predicted embedding": nearest("embedding"),
        f"best of {len(captions)} captions": lambda found: -(found["embedding"] @ captions.T).max(axis=1),
    }


def compare(model: vj.Model, data: Path, known: dict[str, Found], outside: dict[str, Found]) -> None:
    """Print how well each statistic tells them apart."""
    for name, statistic in statistics(model, data).items():
        inside = np.concatenate([statistic(found) for found in known.values()])
        limit = np.quantile(inside, 0.95)
        scores = {what: statistic(found) for what, found in outside.items()}
        every = np.concatenate(list(scores.values()))
        each = ", ".join(f"{what} {auroc(inside, score):.4f}" for what, score in scores.items())
        print(f"{name}: AUROC {auroc(inside, every):.4f} ({each})")
        print(f"    told as known where 95 % of known are kept: {float((every <= limit).mean()):.2%}")


def auroc(known: Array, unknown: Array) -> float:
    """Area under the ROC curve."""
    truth = np.repeat([0, 1], [len(known), len(unknown)])
    return float(roc_auc_score(truth, np.concatenate([known, unknown])))


def told_unknown(model: vj.Model, groups: dict[str, Found]) -> str:
    """Shares of windows, at the bundle's own threshold."""
    shares = {
        name: np.mean([bool(model.is_unknown(row)) for row in found["tokens"]])
        for name, found in groups.items()
    }
    return ", ".join(f"{name} {share:.1%} of {len(groups[name]['tokens'])}" for name, share in shares.items())


def sentences(model: vj.Model, several: Iterable[Path | vj.Source], decode: str) -> tuple[int, int, float]:
    """Sentences that sessions say of sources, segments, and hours."""
    said, total, hours = 0, 0, 0.0
    for source in several:
        with model.session(decode=decode) as session:
            told = [event for event in session.run(source) if event.kind == "segment"]
            hours += session.stats.media_s / 3600
        said, total = said + sum(event.decoded for event in told), total + len(told)
    return said, total, hours


def judge(model: vj.Model, data: Path) -> None:
    """Print what sessions say of all that is outside, and of the world."""
    for name in sources(data):
        for decode in ("always", "auto"):
            said, _, hours = sentences(model, sources(data)[name], decode)
            rate = f"{said / hours:.0f} an hour" if hours else "none"
            print(f"{name}, --decode {decode}: {said} sentences in {60 * hours:.1f} minutes, {rate}")
    hands = HandBank.load(data / "sign_digits", "val") if knows_hands(model) else None
    said, total, _ = sentences(model, worlds(hands), "auto")
    print(
        f"the world's streams{' with hand signs' if hands else ''}: {said} of {total} segments said, {said / total:.1%}"
    )


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("bundles", nargs="*", metavar="BUNDLE")
    args = parser.parse_args()
    for bundle in args.bundles or ["tiny"]:
        model = vj.load(bundle, threads=1)
        print(f"{model.bundle.name} on {model.engine_name}: {model.bundle.manifest.novelty}", flush=True)
        first = not args.bundles
        known = known_here(model, args.data, predicts=first)
        outside = {
            name: all_of(model, several, predicts=first) for name, several in sources(args.data).items()
        }
        if first:
            compare(model, args.data, known, outside)
        print("unknown at its own threshold:", told_unknown(model, known | outside), flush=True)
        if first:
            judge(model, args.data)


if __name__ == "__main__":
    main()
