"""The cache of built engines: keys, refusals that name what differs, and estimates with a basis."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from vljepa_runtime.bundle import Bundle, write_bundle
from vljepa_runtime.engines.trt.cache import CachedEngine, EngineCache, Machine, content_hash, default_folder
from vljepa_runtime.engines.trt.estimate import estimate_build
from vljepa_runtime.errors import GraphRefusedError

ORIN = Machine(gpu="Orin", compute_capability="8.7", driver="540.4.0", library="tensorrt", version="10.3.0")


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines")


@pytest.fixture
def bundle(small_zip: Path) -> Bundle:
    return Bundle.open(small_zip)


def keep(cache: EngineCache, bundle: Bundle, machine: Machine = ORIN, **changes: object) -> CachedEngine:
    known: dict[str, object] = {
        "bundle": bundle.name,
        "graph": "x_encoder",
        "content": content_hash(bundle, "x_encoder"),
        "machine": machine,
        "precision": "fp16",
        "profiles": 2,
        "graph_bytes": 1_000_000,
        "seconds": 60.0,
        "layers": "",
    }
    return cache.put(b"engine", **(known | changes))


def test_what_was_put_is_found_again(cache: EngineCache, bundle: Bundle) -> None:
    entry = keep(cache, bundle)
    content = content_hash(bundle, "x_encoder")
    assert cache.find(ORIN, content) == entry
    assert cache.require(ORIN, content, bundle=bundle, graph="x_encoder") == entry
    assert cache.read(entry) == b"engine"
    assert list(cache.entries()) == [entry]


@pytest.mark.parametrize("field", [item.name for item in fields(Machine)])
def test_another_machine_has_another_key(cache: EngineCache, bundle: Bundle, field: str) -> None:
    keep(cache, bundle)
    content = content_hash(bundle, "x_encoder")
    other = replace(ORIN, **{field: "other"})
    assert cache.key(other, content) != cache.key(ORIN, content)
    assert cache.find(other, content) is None
    named = f"there is one for {field.replace('_', ' ')} {getattr(ORIN, field)}"
    with pytest.raises(GraphRefusedError, match=f"no engine of small/x_encoder.*{named}.*vljepa build"):
        cache.require(other, content, bundle=bundle, graph="x_encoder")


def test_another_version_of_the_bundle_has_another_key(
    cache: EngineCache, bundle: Bundle, tmp_path: Path
) -> None:
    keep(cache, bundle)
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    same = write_bundle(tmp_path / "a", replace(bundle.manifest, prompts={"caption": "New?"}), files)
    assert content_hash(same, "x_encoder") == content_hash(bundle, "x_encoder")
    other = write_bundle(tmp_path / "b", bundle.manifest, files | {"x_encoder.onnx": b"changed"})
    with pytest.raises(GraphRefusedError, match="another version of the bundle"):
        cache.require(ORIN, content_hash(other, "x_encoder"), bundle=bundle, graph="x_encoder")


def test_an_empty_cache_says_how_to_build(cache: EngineCache, bundle: Bundle) -> None:
    with pytest.raises(
        GraphRefusedError, match=r"Orin \(8\.7\), driver 540\.4\.0, tensorrt 10\.3\.0: run  vljepa build"
    ):
        cache.require(ORIN, "0", bundle=bundle, graph="x_encoder")


def test_a_damaged_engine_is_refused(cache: EngineCache, bundle: Bundle) -> None:
    entry = keep(cache, bundle)
    path = cache.folder / f"{entry.key}.engine"
    path.write_bytes(b"enginE")
    with pytest.raises(GraphRefusedError, match="damaged: build it again"):
        cache.read(entry)
    path.unlink()
    with pytest.raises(GraphRefusedError, match="cannot read"):
        cache.read(entry)
    assert list(cache.entries()) == []


def test_what_is_no_description_is_passed_over(cache: EngineCache, bundle: Bundle) -> None:
    entry = keep(cache, bundle)
    for name, text in (("a.json", "{}"), ("b.json", "no"), ("c.json", '{"machine": {}}')):
        (cache.folder / name).write_text(text)
    assert list(cache.entries()) == [entry]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, bundle: Bundle) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GraphRefusedError, match=r"cannot write to .*--cache"):
        keep(EngineCache(tmp_path / "file" / "engines"), bundle)


def test_extras_save_time_and_decide_nothing(cache: EngineCache) -> None:
    name = cache.extra("timing", ORIN)
    assert cache.read_extra(name) == b""
    cache.write(name, b"times")
    assert cache.read_extra(name) == b"times"
    assert name != cache.extra("timing", replace(ORIN, driver="other"))
    assert list(cache.entries()) == []


def test_the_usual_folder_is_in_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert default_folder() == tmp_path / ".cache" / "vljepa" / "engines"
    assert EngineCache().folder == default_folder()


def test_an_estimate_scales_what_was_built_here(cache: EngineCache, bundle: Bundle) -> None:
    keep(cache, bundle)
    found = estimate_build(ORIN, 2_000_000, 1, cache.entries())
    assert found.seconds == pytest.approx(60.0)  # twice the bytes, half the profiles
    assert "1 build on this machine" in found.basis


def test_without_a_build_tensorrt_has_no_number_and_rtx_a_measured_one() -> None:
    unknown = estimate_build(ORIN, 1_000_000, 1, [])
    assert unknown.seconds is None
    assert "none was built on this one" in unknown.basis
    rtx = replace(ORIN, library="tensorrt-rtx")
    small, large = (estimate_build(rtx, size, 1, []).seconds for size in (1_000_000, 600_000_000))
    assert small is not None
    assert large is not None
    assert 0 < small < large
