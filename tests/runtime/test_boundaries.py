"""A bundle's own network tells the events of a stream apart: from its file to what a session decodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_runtime.bundle import Manifest
from vljepa_runtime.bundle.calibrated import boundaries_of
from vljepa_runtime.engines import open_engine
from vljepa_runtime.errors import BundleError
from vljepa_runtime.selection import BOUNDARIES_FILE, Boundaries, BoundaryNet
from vljepa_runtime.sources import Frame


def always(stride_s: float) -> BoundaryNet:
    """Sees a boundary wherever the newest window is not the one before it, most where they differ most."""
    return BoundaryNet(
        stride_s=stride_s,
        weights=(np.full((1, 1), 20, np.float32),),
        biases=(np.array([-1], np.float32),),
    )


def bundle_with(content: bytes) -> vj.Bundle:
    with vj.Bundle.open("tiny") as shipped:
        files = {name: shipped.read(name) for name in shipped.manifest.files}
        manifest = replace(shipped.manifest, boundaries=BOUNDARIES_FILE)
    return vj.Bundle.in_memory(manifest, {**files, BOUNDARIES_FILE: content})


@pytest.fixture(scope="module")
def model() -> Iterator[vj.Model]:
    with vj.Bundle.open("tiny") as shipped:
        query = shipped.manifest.prompts["caption"]
    known = Boundaries(nets=(always(0.5),), query=query)
    with bundle_with(known.to_bytes()) as bundle:
        yield vj.Model(bundle, open_engine("onnxruntime:cpu", threads=1))


class Flicker(vj.Source):
    """Ten seconds in which the picture turns grey, white and black by turns."""

    name = "flicker"

    def frames(self, hints: object = None) -> Iterator[Frame]:
        for index in range(80):
            image = np.full((96, 96, 3), (128, 255, 0)[index // 10 % 3], np.uint8)
            image[index % 60 : index % 60 + 20, 20:60] = 200
            yield Frame(image=image, time_s=index / 8, index=index)

    def close(self) -> None:
        """Nothing is open."""


def segments(model: vj.Model, **options: object) -> int:
    with model.session(decode="never", **options) as session:  # type: ignore[arg-type]
        return sum(event.kind == "segment" for event in session.run(Flicker()))


@pytest.fixture(scope="module")
def plain() -> Iterator[vj.Model]:
    """The same without a network."""
    with vj.Bundle.open("tiny") as shipped:
        manifest = replace(shipped.manifest, boundaries=None)
        files = {name: shipped.read(name) for name in manifest.files if name != BOUNDARIES_FILE}
    manifest = replace(manifest, files={name: manifest.files[name] for name in files})
    with vj.Bundle.in_memory(manifest, files) as bundle:
        yield vj.Model(bundle, open_engine("onnxruntime:cpu", threads=1))


def test_the_shipped_bundle_has_networks_for_its_caption_prompt() -> None:
    with vj.Bundle.open("tiny") as shipped:
        known = boundaries_of(shipped)
        assert known is not None
        assert [net.stride_s for net in known.nets_of(shipped.manifest.prompts["caption"])] == [0.5, 1.0]


def test_the_network_is_asked_for_its_query_and_stride_alone(model: vj.Model, plain: vj.Model) -> None:
    few = {"select": vj.OnlineSelection(threshold=0.9)}
    assert model.boundaries is not None
    assert segments(model, stride_s=0.5, select="online") > segments(model, stride_s=0.5, **few)
    assert segments(model, stride_s=0.5, select=vj.OnlineSelection()) == segments(model, stride_s=0.5)
    for options in ({"stride_s": 1.0}, {"stride_s": 0.5, "query": "What colour is it?"}):
        assert segments(model, **options) == segments(plain, **options)
    assert segments(model, stride_s=0.5, **few) == segments(plain, stride_s=0.5, **few)


def test_a_budget_that_is_named_holds(model: vj.Model) -> None:
    assert segments(model, stride_s=0.5, select="online:6") <= 3


def test_the_manifest_names_the_file_or_says_nothing(model: vj.Model) -> None:
    manifest = model.bundle.manifest
    assert Manifest.from_dict(manifest.to_dict()).boundaries == BOUNDARIES_FILE
    assert "boundaries" not in replace(manifest, boundaries=None).to_dict()


def test_a_file_that_is_none_is_refused_when_the_model_is_opened() -> None:
    with bundle_with(b"no network") as bundle, pytest.raises(BundleError, match=BOUNDARIES_FILE):
        vj.Model(bundle, open_engine("onnxruntime:cpu", threads=1))


def test_a_file_that_is_not_listed_is_refused() -> None:
    with vj.Bundle.open("tiny") as shipped:
        manifest = replace(shipped.manifest, boundaries="elsewhere.safetensors")
        files = {name: shipped.read(name) for name in manifest.files}
    with pytest.raises(BundleError, match=r"without size and hash: elsewhere\.safetensors"):
        vj.Bundle.in_memory(manifest, files)
