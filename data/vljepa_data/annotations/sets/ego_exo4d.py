"""EgoExo4D: key steps, and atomic descriptions at points in time. Layout: EGO4D/Ego-Exo4D-docs, docs/annotations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vljepa_data.annotations.data_folder import DataFolder
from vljepa_data.annotations.example import Example
from vljepa_data.annotations.sets.reading import entries, lists, made, members, objects, part_of

__all__ = ["read_descriptions", "read_keysteps"]

EGO = "_214-1"
"""Ends the name of the video of the camera wearer's glasses."""
MOMENT_S = 0.01


def read_keysteps(folder: DataFolder) -> Iterator[Example]:
    """Segments of the validation part with the name of their key step, from the camera wearer's view."""
    takes = [row for _, row in members(folder.file("keystep_val.json"), "annotations")]
    steps = [(row, step) for row in takes for step in objects(row, "segments")]
    labels = tuple(dict.fromkeys(step.text("step_name") for _, step in steps))
    videos = Takes(folder)
    for row, step in steps:
        path = videos.video(row.text("take_uid"), row.text("take_name"))
        segment = part_of(step, path, step.number("start_time"), step.number("end_time"))
        yield made(
            step, Example, segment=segment, text=step.text("step_name"), candidates=labels, split="val"
        )


def read_descriptions(folder: DataFolder) -> Iterator[Example]:
    """What happens when, by the first annotator of each take who was not refused, in the order of time."""
    videos = Takes(folder)
    for take, annotators in lists(folder.file("atomic_descriptions_val.json"), "annotations"):
        kept = next((row for row in annotators if row.values.get("rejected") is not True), None)
        told = [] if kept is None else [row for row in objects(kept, "descriptions") if row.text("text", "")]
        moments = [(row.number("timestamp"), row) for row in told]
        for time_s, row in sorted(moments, key=lambda pair: pair[0] or 0.0):
            start_s = max(0.0, time_s or 0.0)
            segment = part_of(row, videos.video(take), start_s, start_s + MOMENT_S)
            yield made(row, Example, segment=segment, text=row.text("text"), split="val")


class Takes:
    """Videos of takes: `takes/NAME/frame_aligned_videos/aria01_214-1.mp4`, or a file named after the take.

    Args:
        folder: With `takes.json`, which names takes by their numbers.
    """

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        listed = next(folder.matching("takes.json"), None)
        rows = entries(listed) if listed else iter(())
        self._names = {row.text("take_uid"): row.text("take_name") for row in rows}
        self._views: dict[str, Path] = {}
        for path in folder.files:
            if path.stem.endswith(EGO):
                for part in path.parts:
                    self._views.setdefault(part, path)

    def video(self, take: str, name: str = "") -> Path:
        """Of a take, or where it was expected."""
        called = name or self._names.get(take, take)
        return (
            self._views.get(called)
            or self._folder.videos.find(called, take)
            or self._folder.videos.expect(called)
        )
