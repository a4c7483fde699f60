"""`vljepa ask`: an answer from candidates, or in the Y-decoder's words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vljepa_apps.main import main

QUESTION = "How many balls are there?"


def test_candidates_are_ranked(model: Any, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "toy", str(pictures), QUESTION, "--label", "one", "--label", "three"]) == 0
    assert capsys.readouterr().out == "three  0.050\none    0.030\n"
    assert model.query == QUESTION


def test_without_candidates_the_decoder_answers(
    model: Any, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", "toy", str(pictures), QUESTION]) == 0
    assert capsys.readouterr().out == "decoded 5 values\n"
    assert model.query == QUESTION


@pytest.mark.parametrize(
    ("options", "answer", "decoded"), [(["--label", "two"], "two", False), ([], "decoded 5 values", True)]
)
def test_json_says_how_it_came_about(
    options: list[str],
    answer: str,
    decoded: bool,
    model: Any,
    pictures: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["ask", "toy", str(pictures), QUESTION, "--json", *options]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["answer"], result["decoded"], result["question"]) == (answer, decoded, QUESTION)


def test_no_question_is_a_usage_error(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["ask", "toy", str(pictures)])
    assert stopped.value.code == 2
    assert "QUESTION" in capsys.readouterr().err
