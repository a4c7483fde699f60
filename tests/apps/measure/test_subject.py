"""What a subject is called in tables."""

from __future__ import annotations

import pytest

from vljepa_apps.measure.subject import Subject


@pytest.mark.parametrize(
    ("spec", "label"),
    [
        ("tiny", "tiny"),
        ("some/where/x-int8.vljepa", "x-int8"),
        ("torch", "torch"),
        ("torch:a/b", "torch:b"),
        ("hf:a/clip", "hf:clip"),
    ],
)
def test_labels(spec: str, label: str) -> None:
    assert Subject(spec=spec).label == label
