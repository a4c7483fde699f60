"""Tokenizers beside those of the checkpoint."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vljepa_export.constants.tokenizers import prove_tokenizers

MEANT: dict[str, Any] = {
    "normalizer": {"type": "NFC"},
    "model": {"vocab": {"yes": 3, "no": 4}, "merges": [["n", "o"], ["y", "e"]]},
}


def written(**model: Any) -> bytes:
    return json.dumps({**MEANT, "model": {**MEANT["model"], **model}}).encode()


@pytest.mark.parametrize(
    ("content", "faults"),
    [
        pytest.param(written(), (), id="the-same"),
        pytest.param(json.dumps(MEANT, indent=1).encode(), (), id="in-other-letters"),
        pytest.param(
            written(vocab={"yes": 4, "no": 3}),
            ("predictor: model.vocab.yes: expected 3, got 4", "predictor: model.vocab.no: expected 4, got 3"),
            id="words-exchanged",
        ),
        pytest.param(
            written(vocab={"yes": 3}), ("predictor: model.vocab.no: expected 4, got None",), id="a-word-less"
        ),
        pytest.param(
            written(merges=[["n", "o"]]),
            ("predictor: model.merges: expected [['n', 'o'], ['y', 'e']], got [['n', 'o']]",),
            id="a-merge-less",
        ),
        pytest.param(
            written(vocab={"yes": True, "no": 4}),
            ("predictor: model.vocab.yes: expected 3, got True",),
            id="type",
        ),
    ],
)
def test_what_differs_is_named(content: bytes, faults: tuple[str, ...]) -> None:
    (proof,) = prove_tokenizers({"predictor": written()}, {"predictor": ("tokenizer.json", content)})
    assert (proof.name, proof.faults) == ("tokenizer.json", faults)


def test_what_cannot_be_read_and_what_is_not_there_are_faults() -> None:
    wanted = {"predictor": written(), "y_encoder": written()}
    unread, missing = prove_tokenizers(wanted, {"predictor": ("tokenizer.json", b"{")})
    assert "not readable" in unread.faults[0]
    assert missing.faults == ("expected a tokenizer for the y_encoder, got none",)


def test_a_file_of_several_networks_is_one_proof() -> None:
    wanted = {"predictor": written(), "y_encoder": written()}
    both = dict.fromkeys(wanted, ("tokenizer.json", written(vocab={"yes": 3, "no": 5})))
    (proof,) = prove_tokenizers(wanted, both)
    assert [fault.partition(":")[0] for fault in proof.faults] == ["predictor", "y_encoder"]
