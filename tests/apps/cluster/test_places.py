"""Where work may be done: what is refused before anything starts, and what is said where there is no Ray."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import pytest

from vljepa_apps.cluster.units import Results, key_of
from vljepa_apps.main import main


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--on", "openvino"], "expected ray or ray:ADDRESS, got 'openvino'"),
        (["--workers", "2"], "expected --on ray with --workers"),
        (["--on", "ray"], "a camera or an address is indexed where the log is"),
    ],
)
def test_what_makes_no_sense_is_refused(
    options: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with suppress(SystemExit):  # what argparse refuses
        assert main(["index", "http://localhost/a.mp4", "--out", str(tmp_path / "LOG"), *options]) == 1
    assert says in " ".join(capsys.readouterr().err.split())


def test_without_ray_its_pip_command_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "a.mp4").write_bytes(b"no video")
    assert main(["index", str(tmp_path / "a.mp4"), "--out", str(tmp_path / "LOG"), "--on", "ray"]) == 1
    error = capsys.readouterr().err
    assert "ray is not installed" in error
    assert "[ray]" in error


def test_a_result_is_named_by_all_that_it_depends_on(tmp_path: Path) -> None:
    keys = {key_of(source="a", stride=1.0), key_of(source="a", stride=2.0), key_of(source="b", stride=1.0)}
    assert len(keys) == 3
    assert key_of(stride=1.0, source="a") in keys
    results = Results(tmp_path / "waiting")
    results.clear()  # nothing is there yet
    results.path("k").parent.mkdir()
    results.path("k").write_bytes(b"done")
    assert results.wait("k") == b"done"
    results.drop("k")
    assert not results.path("k").exists()
