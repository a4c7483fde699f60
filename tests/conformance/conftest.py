"""Every engine that is installed here, the reference first, and the bundle that all must run."""

from __future__ import annotations

from pathlib import Path

import pytest

from vljepa_runtime.bundle import Bundle, shipped_bundles
from vljepa_runtime.engines import Engine, available_engines, open_engine
from vljepa_runtime.errors import EngineError

SMALL = Path(__file__).parents[1] / "runtime" / "bundles" / "small.vljepa"
REFERENCE = "onnxruntime:cpu"

# What an engine may do otherwise, with the reason: (engine, test) -> reason. Empty is the goal.
EXCEPTIONS: dict[tuple[str, str], str] = {}


@pytest.fixture(scope="module", params=available_engines())
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn; one whose device is not there is skipped, with the engine's own words."""
    try:
        return open_engine(request.param, threads=1)
    except EngineError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def reference() -> Engine:
    """The engine that the others are compared with."""
    return open_engine(REFERENCE, threads=1)


@pytest.fixture(scope="module", params=["small", *shipped_bundles()])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    """The small test bundle, then what the package ships."""
    return Bundle.open(SMALL if request.param == "small" else request.param)


@pytest.fixture(autouse=True)
def _exceptions(request: pytest.FixtureRequest) -> None:
    """Turn the entries of `EXCEPTIONS` into expected failures."""
    if "engine" in request.fixturenames:
        engine = request.getfixturevalue("engine")
        if reason := EXCEPTIONS.get((engine.name, request.function.__name__)):
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
