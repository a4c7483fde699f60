"""Options of commands that take data sets: what they name, and what is refused before anything is measured."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

import pytest

from vljepa_apps.demo.stream import write_video
from vljepa_apps.own_clips import add_data, data_specs, look_at_data
from vljepa_data.annotations import DataSpec
from vljepa_data.errors import AnnotationError
from vljepa_data.world import Split, make_stream
from vljepa_runtime.errors import InputError, SourceError


def parsed(*words: str) -> tuple[DataSpec, ...]:
    """What a command line names."""
    parser = argparse.ArgumentParser()
    add_data(parser)
    return data_specs(parser.parse_args(words))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Two clips of one's own."""
    stream = make_stream(3, Split.TEST, minutes=0.1, size=64, fps=8)
    write_video(stream, tmp_path / "clip.mp4", fps=8)
    rows = [f"clip.mp4,{event.start_s},{event.end_s},{event.text}" for event in stream.events]
    (tmp_path / "clips.csv").write_text("\n".join(["path,start_s,end_s,text", *rows]))
    return tmp_path / "clips.csv"


def test_several_sets_travel_as_plain_values(manifest: Path) -> None:
    mine, again = parsed(
        "--data",
        f"mine={manifest}",
        "--data",
        str(manifest),
        "--limit",
        "1",
        "--prompt",
        "labels=What is it?",
    )
    assert (mine.name, again.name) == ("mine", "own")
    (labels, _) = DataSpec(**asdict(mine)).open().parts
    assert (labels.prompt, len(labels.items)) == ("What is it?", 1)
    look_at_data([mine, again])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--limit", "3"), "expected --data with --limit, got none"),
        (("--data", "pope=x", "--prompt", "What?"), "expected --prompt TASK=TEXT, got 'What\\?'"),
        (("--data", "pope=x", "--data", "pope=y"), "expected data sets of different names, got 'pope' twice"),
        (("--data", "imagenet=x"), "expected a data set among kinetics, ssv2"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: tuple[str, ...], message: str) -> None:
    with pytest.raises((InputError, AnnotationError), match=message):
        parsed(*words)


def test_a_prompt_for_a_task_that_a_set_has_not_is_refused(manifest: Path) -> None:
    (spec,) = parsed("--data", str(manifest), "--prompt", "cooking=Yes?")
    with pytest.raises(
        AnnotationError, match="expected a prompt for a task among labels, retrieval of own, got cooking"
    ):
        look_at_data([spec])


def test_a_missing_clip_is_told_first(manifest: Path) -> None:
    (manifest.parent / "clip.mp4").unlink()
    with pytest.raises(SourceError, match=r"2 of 2 clips cannot be read: no such file: .*clip\.mp4"):
        look_at_data(parsed("--data", str(manifest)))
