"""A bundle of a few kilobytes with real graphs; `tiny_bundle.py` beside this builds it."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import vljepa_runtime as vj

SMALL = Path(__file__).parent / "bundles" / "small.vljepa"


@pytest.fixture(scope="session")
def small_zip() -> Path:
    """The committed bundle."""
    return SMALL


@pytest.fixture
def small_folder(tmp_path: Path) -> Path:
    """The same as a folder that a test may damage."""
    folder = tmp_path / "small.vljepa"
    with zipfile.ZipFile(SMALL) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def model() -> vj.Model:
    """A model of its own for each test file, on the CPU."""
    return vj.load(SMALL, engine="onnxruntime:cpu", threads=1)


@pytest.fixture
def wordless(small_folder: Path) -> vj.Model:
    """The same without a Y-decoder, as an import of open-vljepa is."""
    manifest = vj.Bundle.open(small_folder).manifest
    graphs = {name: graph for name, graph in manifest.graphs.items() if not name.startswith("y_decoder")}
    roles = ("predictor", "y_encoder")
    manifest = replace(manifest, graphs=graphs, tokenizers={role: f"{role}.json" for role in roles})
    tokenizer = (small_folder / "tokenizer.json").read_bytes()
    files = {spec.file: (small_folder / spec.file).read_bytes() for spec in graphs.values()}
    files |= {f"{role}.json": tokenizer for role in roles}
    vj.write_bundle(small_folder, manifest, files, archive=False, force=True)
    return vj.load(small_folder, engine="onnxruntime:cpu", threads=1)


@pytest.fixture(scope="session")
def clip() -> np.ndarray:
    """(7, 20, 30, 3) uint8 RGB noise, seeded."""
    return np.random.RandomState(3).randint(0, 256, (7, 20, 30, 3)).astype(np.uint8)
