"""`vljepa ask`: an answer from candidates, or in the Y-decoder's words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import vljepa_runtime as vj
from vljepa_apps.main import main

QUESTION = "How many balls are there?"


def test_candidates_are_ranked(tiny: Any, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "tiny", str(pictures), QUESTION, "--label", "one", "--label", "three"]) == 0
    best, other = tiny.answer(vj.read_clip(pictures, tiny.preprocess), QUESTION, ["one", "three"])
    width = len("three")
    assert capsys.readouterr().out == "".join(
        f"{scored.label:{width}}  {scored.score:.3f}\n" for scored in (best, other)
    )
    assert tiny.query == QUESTION


def test_without_candidates_the_decoder_answers(
    tiny: Any, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", "tiny", str(pictures), QUESTION]) == 0
    words = tiny.decode(tiny.embed(vj.read_clip(pictures, tiny.preprocess), QUESTION))
    assert capsys.readouterr().out == f"{words}\n"


@pytest.mark.parametrize(("options", "decoded"), [(["--label", "two"], False), ([], True)])
def test_json_says_how_it_came_about(
    options: list[str], decoded: bool, tiny: Any, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", "tiny", str(pictures), QUESTION, "--json", *options]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["decoded"], result["question"]) == (decoded, QUESTION)
    assert decoded == (result["answer"] != "two")


def test_no_question_is_a_usage_error(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["ask", "tiny", str(pictures)])
    assert stopped.value.code == 2
    assert "QUESTION" in capsys.readouterr().err


def test_a_bundle_without_words_can_choose_and_says_so(
    tiny: Any, pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(type(tiny), "has_decoder", False)
    assert main(["ask", "tiny", str(pictures), QUESTION, "--quiet"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "tiny has no Y-decoder, so it can rank answers and not word one: pass candidates (--label)" in err
    assert main(["ask", "tiny", str(pictures), QUESTION, "--quiet", "--label", "one"]) == 0
