"""Fixtures that every part of the suite may use; none of them imports torch."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real clips and photographs beside the checkout; the test skips where they are absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no shared/data beside the checkout")
    return SHARED_DATA


@pytest.fixture(scope="session")
def public() -> ModuleType:
    """`public_folders.py`: writes small random models in the layouts of public weights, with transformers."""
    pytest.importorskip("transformers")
    spec = importlib.util.spec_from_file_location("public_folders", ROOT / "tests" / "public_folders.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
