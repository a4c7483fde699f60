"""What a proof of constants says of itself."""

from __future__ import annotations

import json

import pytest

from vljepa_evaluation.gates import ConstantsProof


@pytest.mark.parametrize(
    ("proof", "kept"),
    [
        pytest.param(ConstantsProof(name="g", compared=3, note="steps come from samples"), True, id="kept"),
        pytest.param(ConstantsProof(name="g", compared=3, faults=("w: changed",)), False, id="fault"),
        pytest.param(ConstantsProof(name="g", unjudged="int3 has no rows"), False, id="not-judged"),
    ],
)
def test_kept_is_what_was_judged_and_found_right(proof: ConstantsProof, kept: bool) -> None:
    assert proof.kept is kept
    assert json.loads(json.dumps(proof.to_dict()))["kept"] is kept
