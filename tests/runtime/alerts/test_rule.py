"""What a file of alerts may say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vljepa_runtime.alerts import Alert, AlertFile, read_alerts
from vljepa_runtime.errors import InputError

FALLS = {"text": "a ball falls", "threshold": 0.4}


def written(folder: Path, values: object) -> Path:
    path = folder / "alerts.json"
    path.write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")
    return path


def test_a_file_gives_what_was_written(tmp_path: Path) -> None:
    alerts = [
        Alert(text="jemand liegt am Boden 倒", threshold=-0.1, against=("the room is empty",), hold_s=3, query="What?"),
        Alert(**FALLS),  # type: ignore[arg-type]
    ]  # fmt: skip
    file = AlertFile(alerts=alerts, model={"checkpoint": "abc"})  # type: ignore[arg-type]
    assert read_alerts(written(tmp_path, file.to_dict())) == file


def test_a_threshold_may_be_left_out(tmp_path: Path) -> None:
    for values in ({"text": "a cat sits"}, {"text": "a cat sits", "threshold": None}):
        assert read_alerts(written(tmp_path, {"alerts": [values]})).alerts == (Alert(text="a cat sits"),)


def test_thresholds_of_another_model_are_refused() -> None:
    file = AlertFile(alerts=[Alert(**FALLS)], model={"checkpoint": "abc"})  # type: ignore[arg-type]
    file.check_model({"checkpoint": "abc"})
    with pytest.raises(InputError, match="another model"):
        file.check_model({"checkpoint": "abd"})
    AlertFile(alerts=file.alerts).check_model({"checkpoint": "abd"})  # written by hand


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("", "cannot read"),
        ("[", "cannot read"),
        ([], "expected an object"),
        ({"v": 1}, "`alerts` is missing"),
        ({"v": 2, "alerts": [FALLS]}, "version 2"),
        ({"alerts": []}, "one alert or more"),
        ({"alerts": [FALLS, FALLS]}, "words of its own"),
        ({"alerts": [FALLS], "alarm": 1}, "unknown keys alarm"),
        ({"alerts": [{"threshold": 0.4}]}, "`text` is missing"),
        ({"alerts": [{**FALLS, "text": " "}]}, "words"),
        ({"alerts": [{**FALLS, "text": "a\x1b[2J"}]}, "control characters"),
        ({"alerts": [{**FALLS, "threshold": "0.4"}]}, "threshold: expected a finite number"),
        ({"alerts": [{**FALLS, "threshold": 2.1}]}, "threshold: expected a score from -2 to 2"),
        ('{"alerts": [{"text": "a", "threshold": NaN}]}', "cannot read"),
        ({"alerts": [{**FALLS, "hold_s": -1}]}, "hold_s: expected seconds from 0"),
        ({"alerts": [{**FALLS, "cool_down_s": 1e9}]}, "cool_down_s: expected seconds"),
        ({"alerts": [{**FALLS, "release": -0.1}]}, "release: expected a difference"),
        ({"alerts": [{**FALLS, "against": ["a ball falls"]}]}, "cannot compete with itself"),
        ({"alerts": [{**FALLS, "against": ["a"] * 65}]}, "at most 64"),
        ({"alerts": [{"text": str(i), "threshold": 0} for i in range(257)]}, "at most 256"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_something_else_is_refused(tmp_path: Path, values: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_alerts(written(tmp_path, values))


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_alerts(tmp_path / "none.json")
    with pytest.raises(InputError, match="cannot read"):
        read_alerts(tmp_path)
    with pytest.raises(InputError, match="more than 4 MiB"):
        read_alerts(written(tmp_path, " " * (5 << 20)))
