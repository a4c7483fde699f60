"""Profiles: what a file may say, which bundle and device they are of, and what a session is made of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_runtime.bundle import fingerprint_of
from vljepa_runtime.selection import Boundaries, BoundaryNet

ONE = {"bundle": "tiny", "fingerprint": "f", "v": 1}
SELECTION = {"query": "What?", "threshold": 0.1, "per_minute": 6, "found_per_minute": 5.5}


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    profile = vj.DeviceProfile(
        bundle="tiny",
        fingerprint="f",
        engine="openvino:cpu",
        threads=2,
        stride_s=0.25,
        tokens="budget:0.5",
        carry_s=60,
        device={"cpu": "Zen"},
        measured={"p95_ms": 12.5},
        selection=vj.TunedSelection(**SELECTION),  # type: ignore[arg-type]
    )
    profile.save(tmp_path / "profil – ü.json")
    assert vj.DeviceProfile.read(tmp_path / "profil – ü.json") == profile


@pytest.mark.parametrize(
    ("values", "told"),
    [
        pytest.param(b"", "it is no JSON", id="empty"),
        pytest.param(b"[1]", "version 1, got", id="list"),
        pytest.param({**ONE, "v": 2}, "version 1, got 2", id="newer"),
        pytest.param({**ONE, "v": True}, "v: expected", id="true"),
        pytest.param({"v": 1, "bundle": "tiny"}, "`fingerprint` is missing", id="missing"),
        pytest.param({**ONE, "thread": 2}, "did you mean 'threads'", id="unknown"),
        pytest.param({**ONE, "threads": 0}, "threads: expected a whole number above 0", id="no threads"),
        pytest.param({**ONE, "threads": 10**9}, "at most 1024", id="threads"),
        pytest.param({**ONE, "threads": 1.5}, "threads: expected", id="half a thread"),
        pytest.param({**ONE, "stride_s": -1}, "stride_s: expected seconds", id="stride"),
        pytest.param(json.dumps(ONE)[:-1] + ', "stride_s": NaN}', "no JSON: NaN", id="nan"),
        pytest.param({**ONE, "tokens": "budget:-3"}, "budget", id="tokens"),
        pytest.param({**ONE, "tokens": 3}, "tokens: expected text", id="tokens number"),
        pytest.param({**ONE, "decode": "always"}, "decode: expected auto or never", id="decode"),
        pytest.param({**ONE, "measured": {"p95_ms": "fast"}}, "p95_ms: expected a finite", id="measured"),
        pytest.param({**ONE, "bundle": "a\nb"}, "bundle: expected", id="lines"),
        pytest.param({**ONE, "selection": {**SELECTION, "boundary": 0.5}}, "not both", id="both"),
        pytest.param({**ONE, "selection": {**SELECTION, "threshold": None}}, "either threshold", id="neither"),
        pytest.param({**ONE, "selection": {**SELECTION, "threshold": 3}}, "cosine distance", id="threshold"),
        pytest.param(b" " * (2 << 20), "at most 1 MiB", id="large"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(values: Any, told: str, tmp_path: Path) -> None:
    data = values if isinstance(values, bytes) else values.encode() if isinstance(values, str) else None
    file = tmp_path / "profile.json"
    file.write_bytes(json.dumps(values).encode() if data is None else data)
    with pytest.raises(vj.InputError, match=told):
        vj.DeviceProfile.read(file)


@pytest.mark.parametrize("make", [lambda p: p / "none.json", lambda p: p], ids=["missing", "folder"])
def test_what_cannot_be_read_is_a_sentence(make: Callable[[Path], Path], tmp_path: Path) -> None:
    with pytest.raises(vj.InputError, match=r"expected a profile, cannot read .*: write it with vljepa tune"):
        vj.DeviceProfile.read(make(tmp_path))


def test_another_bundle_is_refused_and_another_device_is_told() -> None:
    manifest = vj.Bundle.open("tiny").manifest
    mine = vj.DeviceProfile(
        bundle="tiny", fingerprint=fingerprint_of(manifest), device={"cpu": "A", "gpu": "X"}
    )
    mine.require(manifest)
    with pytest.raises(vj.InputError, match="of another bundle: expected 'other'"):
        vj.DeviceProfile(bundle="other", fingerprint="f").require(manifest)
    assert mine.other_device({"cpu": "A", "cores": "2"}) == ""
    assert "cpu A (here B)" in mine.other_device({"cpu": "B"})


class Model:
    """What a profile asks of a model."""

    prompts = {"caption": "What?"}  # noqa: RUF012

    class bundle:
        name = "m"

    def __init__(self, boundaries: Boundaries | None = None) -> None:
        self.boundaries = boundaries


def test_selection_is_that_of_its_query() -> None:
    profile = vj.DeviceProfile(**ONE, selection=SELECTION)  # type: ignore[arg-type]
    model: Any = Model()
    assert profile.session_options(model)["select"] == vj.OnlineSelection(threshold=0.1)
    assert profile.session_options(model, query="What?")["select"].threshold == 0.1
    assert "select" not in profile.session_options(model, query="Who?")


def test_selection_by_a_network_needs_it() -> None:
    said = {**SELECTION, "threshold": None, "boundary": 0.3}
    profile = vj.DeviceProfile(**ONE, stride_s=0.5, selection=said)  # type: ignore[arg-type]
    net = BoundaryNet(stride_s=0.5, weights=(np.ones((1, 1), np.float32),), biases=(np.zeros(1, np.float32),))
    known: Any = Model(Boundaries(nets=(net,), query="What?"))
    assert profile.session_options(known)["select"] == vj.OnlineSelection(boundaries=(net,), boundary=0.3)
    unknown: Any = Model()
    with pytest.raises(vj.InputError, match=r"boundary network for windows 0.5 s apart, and m has none"):
        profile.session_options(unknown)
