"""What a bundle knows, so that it can say where it knows nothing: recorded and fitted with its own graphs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from vljepa_data.annotations import AnnotationFile, by_segment, read_segment
from vljepa_evaluation.gates import Reference, Scenes, draw_probes, record_novelty
from vljepa_evaluation.novelty import (
    LEAST_WINDOWS,
    FittedNovelty,
    KnownWindows,
    fit_novelty,
    known_world,
    pooled_windows,
)
from vljepa_export.bundle_maker import Draft
from vljepa_export.converted_engine import ConvertedEngine
from vljepa_runtime import Clip, Model, Preprocess
from vljepa_runtime.bundle import Bundle, FileSpec, Manifest
from vljepa_runtime.printable import printable

__all__ = ["calibrate_novelty", "with_novelty"]

WINDOWS_PER_CLIP = 16  # of the world, for each clip that the gates show
MOST_CLIPS = 512  # of one's own
LONGEST_NAME = 150  # characters that a manifest keeps of a file's name


def calibrate_novelty(
    draft: Draft, scenes: Scenes | None, own: AnnotationFile | None
) -> FittedNovelty | None:
    """Fit it to what the model knows: the procedural world where it knows nothing else, and clips of one's own.

    Returns:
        None where nothing here runs the graphs, or it is not said what the model knows.
    """
    manifest = draft.bundle.manifest
    if draft.results is None or scenes is None:
        return None
    model = Model(draft.bundle, _engine(draft))
    known: dict[str, KnownWindows] = {}
    if manifest.knows_only:
        for name, windows in known_world(model.preprocess, windows=WINDOWS_PER_CLIP * scenes.clips):
            known[name] = pooled_windows(model, windows)
    if own is not None and len(clips := pooled_windows(model, _own(own, model.preprocess))) >= LEAST_WINDOWS:
        known[f"own clips ({printable(own.name)[:LONGEST_NAME]})"] = clips
    return fit_novelty(known) if known else None


def with_novelty(draft: Draft, manifest: Manifest, fitted: FittedNovelty) -> tuple[Manifest, Reference]:
    """The manifest with what was fitted, and the reference with what must be found again."""
    content = fitted.novelty.to_bytes()
    spec = FileSpec(size=len(content), sha256=hashlib.sha256(content).hexdigest())
    manifest = replace(manifest, novelty=fitted.spec, files={**manifest.files, fitted.spec.file: spec})
    if draft.reference.usage is None:
        return manifest, draft.reference
    judged = Bundle.in_memory(
        replace(draft.bundle.manifest, novelty=fitted.spec),
        {
            **{name: draft.bundle.read(name) for name in draft.bundle.manifest.files},
            fitted.spec.file: content,
        },
    )
    record = record_novelty(Model(judged, _engine(draft)), draft.reference.usage.footage, draw_probes())
    return manifest, replace(draft.reference, novelty=record)


def _engine(draft: Draft) -> ConvertedEngine:
    target = draft.bundle.manifest.target
    return ConvertedEngine(f"{target} files", {item.name: item.converted for item in draft.made})


def _own(own: AnnotationFile, pre: Preprocess) -> Iterator[tuple[Path, Clip]]:
    for segment in islice(by_segment(own.read()), MOST_CLIPS):
        yield segment.path, read_segment(segment, pre)
