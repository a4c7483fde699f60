"""The seal of a manifest: every entry that an edit may touch, and the few that are anybody's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vljepa_evaluation.gates import REFERENCE_FILE, Reference, Seal, Verdict
from vljepa_runtime.bundle import Bundle, Manifest, write_bundle
from vljepa_runtime.errors import BundleError
from vljepa_runtime.files.tensors import pack

FREE = {"format", "name", "license", "created"}


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return Bundle.open("tiny").manifest


@pytest.fixture(scope="module")
def sealed(manifest: Manifest) -> Reference:
    return Reference(samples={}).sealed(manifest)


def leaves(value: Any, *path: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every plain value of parsed JSON, and the way to it."""
    if not isinstance(value, (dict, list)):
        yield path, value
        return
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield from leaves(item, *path, key)


def edited(values: dict[str, Any], path: tuple[Any, ...], to: Any) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(values))
    at: Any = copy
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = to
    return copy


def other(value: Any) -> Any:
    """Another value of the same type."""
    return {bool: lambda: not value, str: lambda: f"{value}x"}.get(type(value), lambda: value + 1)()


def test_every_value_that_is_not_free_is_sealed(manifest: Manifest, sealed: Reference) -> None:
    """Each leaf of the manifest is changed in turn; what no reader takes is none of the seal's."""
    values, seen = manifest.to_dict(), set()
    for path, value in leaves(values):
        if value is None:
            continue
        try:
            changed = Manifest.from_dict(edited(values, path, other(value)))
        except BundleError:
            continue
        seen.add(path[0])
        free = path[0] in FREE or path[:2] == ("files", REFERENCE_FILE)
        judged = sealed.judge_seal(changed)
        assert judged.verdict is (Verdict.KEPT if free else Verdict.MISSED), path
        assert free or str(path[0]) in judged.misses[0], path
    assert seen >= set(values) - {"format", "target", "embedding_dim", "calibration"}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        pytest.param({"prompts": {}}, "prompts.caption, prompts.classify, prompts.retrieval)", id="prompts"),
        pytest.param({"knows_only": ""}, "(knows_only)", id="removed"),
        pytest.param({"notes": {"predictor": "runs well"}}, "(notes.predictor)", id="added"),
        pytest.param({"accuracy": {}}, "and 5 more", id="many"),
    ],
)  # fmt: skip
def test_a_sentence_names_what_was_edited(
    changes: dict[str, Any], named: str, manifest: Manifest, sealed: Reference
) -> None:
    (miss,) = sealed.judge_seal(replace(manifest, **changes)).misses
    assert named in miss
    assert "export the bundle again" in miss


def test_numbers_are_sealed_as_they_are_read_again(manifest: Manifest) -> None:
    whole = replace(manifest, accuracy={"top1": 1})
    assert Seal.of(whole).changed(Manifest.from_dict(json.loads(json.dumps(whole.to_dict())))) == ()


def test_a_seal_survives_the_disk_and_the_reference_is_apart(manifest: Manifest, tmp_path: Path) -> None:
    other = replace(manifest, accuracy={"top1": 1})
    with Bundle.open("tiny") as tiny:
        files: dict[str, bytes | Path] = {name: tiny.read(name) for name in tiny.manifest.files}
        reference = Reference.of(tiny).sealed(other)
    files[REFERENCE_FILE] = reference.to_bytes()
    with write_bundle(tmp_path / "sealed.vljepa", other, files) as bundle:
        assert bundle.manifest.files[REFERENCE_FILE] != manifest.files[REFERENCE_FILE]
        assert Reference.of(bundle).judge_seal(bundle.manifest).verdict is Verdict.KEPT


def test_an_older_reference_has_none(manifest: Manifest) -> None:
    judged = Reference(samples={}).judge_seal(manifest)
    assert judged.verdict is Verdict.NOT_JUDGED
    assert "older" in judged.absent


@pytest.mark.parametrize(
    "seal", [{}, {"entries": {"a": 1}}, {"entries": []}, {"entries": {"a" * 600: "b"}}, []]
)
def test_a_hostile_seal_is_refused(seal: Any) -> None:
    with pytest.raises(BundleError, match="not a reference of this version"):
        Reference.from_bytes(pack({}, {"samples": "{}", "seal": json.dumps(seal)}))
