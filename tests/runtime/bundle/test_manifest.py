"""Manifests: what is read is written back the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from vljepa_runtime.bundle import Bundle, Certified, Manifest
from vljepa_runtime.errors import BundleError


def test_manifest_survives_a_round_trip(small_zip: Path) -> None:
    manifest = Bundle.open(small_zip).manifest
    assert Manifest.from_dict(json.loads(json.dumps(manifest.to_dict()))) == manifest


@pytest.mark.parametrize(
    ("said", "written"), [("yes", True), ("no", False), ("not judged", None)], ids=lambda value: str(value)
)
def test_certified_is_written_as_json_has_it(small_zip: Path, said: str, written: bool | None) -> None:
    manifest = replace(Bundle.open(small_zip).manifest, certified=Certified(said))
    values = manifest.to_dict()
    assert values.get("certified") is written
    assert ("certified" in values) == (written is not None)  # older readers know no such key
    assert Manifest.from_dict({"certified": None, **values}).certified is manifest.certified
    assert bool(manifest.certified) == (written is True)


@pytest.mark.parametrize("said", ["", "drawn shapes"])
def test_what_a_model_knows_is_written_where_it_is_little(small_zip: Path, said: str) -> None:
    manifest = replace(Bundle.open(small_zip).manifest, knows_only=said)
    values = manifest.to_dict()
    assert values.get("knows_only", "") == said
    assert ("knows_only" in values) == bool(said)  # older readers know no such key
    assert Manifest.from_dict(values) == manifest


def test_the_shipped_bundle_says_what_it_knows_and_scores() -> None:
    manifest = Bundle.open("tiny", verify=False).manifest
    assert manifest.knows_only == "drawn shapes and hand signs"
    assert manifest.accuracy["classification top1_of_128"] > 0.95


@pytest.mark.parametrize("value", ["yes", 1, 0, "true", {}], ids=repr)
def test_nothing_else_is_certified(small_zip: Path, value: object) -> None:
    values = Bundle.open(small_zip).manifest.to_dict()
    with pytest.raises(BundleError, match="certified: expected true, false or null"):
        Manifest.from_dict({**values, "certified": value})
