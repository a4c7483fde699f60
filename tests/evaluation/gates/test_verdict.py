"""Three values, and nothing that was not judged is called kept."""

from __future__ import annotations

import pytest

from vljepa_evaluation.gates import Judgement, Verdict, verdict_of

KEPT = Judgement(name="distance")
MISSED = Judgement(name="constants", misses=("a scale is wrong",), unjudged=("one graph",))
UNJUDGED = Judgement(name="repeat", unjudged=("no engine runs it here",))
ABSENT = Judgement(name="seal", absent="an older reference")


@pytest.mark.parametrize(
    ("judgements", "verdict"),
    [
        pytest.param([KEPT], Verdict.KEPT, id="kept"),
        pytest.param([KEPT, ABSENT], Verdict.KEPT, id="nothing-to-judge-with"),
        pytest.param([KEPT, UNJUDGED], Verdict.NOT_JUDGED, id="left-out"),
        pytest.param([UNJUDGED, MISSED, KEPT], Verdict.MISSED, id="missed"),
        pytest.param([ABSENT], Verdict.NOT_JUDGED, id="all-absent"),
        pytest.param([], Verdict.NOT_JUDGED, id="nothing"),
    ],
)
def test_what_is_left_out_is_never_kept(judgements: list[Judgement], verdict: Verdict) -> None:
    assert verdict_of(judgements) is verdict
    assert bool(verdict_of(judgements)) is (verdict is Verdict.KEPT)


def test_each_says_its_own_verdict() -> None:
    said = [each.to_dict()["verdict"] for each in (KEPT, MISSED, UNJUDGED, ABSENT)]
    assert said == ["kept", "missed", "not judged", "not judged"]
