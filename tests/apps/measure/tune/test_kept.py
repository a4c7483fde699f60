"""Runs of a search that was stopped: the same search goes on from them, and what is something else is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from vljepa_apps.measure.tune.kept import KeptRuns, kept_path
from vljepa_runtime.errors import InputError

ABOUT = {"bundles": {"tiny": "f"}, "labels": ("a", "b"), "fps": 5.0}
RUN = {"engine": "onnxruntime:cpu", "seconds": 7.5}


def test_a_search_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "p.trials.jsonl"
    first = KeptRuns(path, ABOUT)
    assert first.get(RUN) is None
    first.put(RUN, {"windows": 12, "latencies_ms": [1.5]})
    second = KeptRuns(path, ABOUT)
    assert second.get(dict(reversed(RUN.items()))) == {"windows": 12, "latencies_ms": [1.5]}
    assert second.get(RUN | {"seconds": 15}) is None
    assert first.get(RUN) is not None  # of this search itself
    assert (first.reused, second.reused) == (0, 1)
    second.remove()
    second.remove()
    assert not path.exists()


def test_another_search_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "p.trials.jsonl"
    KeptRuns(path, ABOUT).put(RUN, {"windows": 12})
    assert KeptRuns(path, ABOUT | {"fps": 6.0}).get(RUN) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"my notes\n",
        b"\xff\xfe",
        b'{"tune": {}}\n[1]\n',
        b'{"tune": {}}\n{"run": "x", "gave": 3}\n',
        b"[]",
    ],
    ids=["empty", "object", "text", "bytes", "list", "number", "array"],
)
def test_something_else_is_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "p.trials.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"expected runs of an earlier vljepa tune in .*: move it away"):
        KeptRuns(path, ABOUT)
    assert path.read_bytes() == content


def test_it_lies_beside_the_profile() -> None:
    assert kept_path(Path("a/profile.json")) == Path("a/profile.trials.jsonl")
    assert kept_path(Path("door.txt")) == Path("door.txt.trials.jsonl")
