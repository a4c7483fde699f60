"""Fixtures that every part of the suite may use; none of them imports torch."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SHARED_DATA = ROOT.parent / "shared" / "data"

# Before anything imports torch, and for every process that a test starts. Two threads that wait for each other on busy
# cores cost the tiny model 13 times the CPU time of one, and bfloat16 sums depend on how many threads share them.
os.environ["OMP_NUM_THREADS"] = "1"

# How long an example takes says how busy the machine is, not what the code does.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


# Started from the background or by `nohup`, a run inherits that signals are ignored, and so do processes of its tests.
for name in ("SIGINT", "SIGHUP"):
    if (number := getattr(signal, name, None)) and signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)


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
    return _module("public_folders")


@pytest.fixture(scope="session")
def baselines() -> ModuleType:
    """`baseline_folders.py`: writes small random models that others would take, with transformers."""
    pytest.importorskip("torch")
    pytest.importorskip(
        "optimum.exporters.onnx",
        reason="Optimum is not installed (test_environment.py)",
    )
    return _module("baseline_folders")


@pytest.fixture(scope="session")
def lossless() -> ModuleType:
    """`lossless_video.py`: videos that give back the pixels written."""
    return _module("lossless_video")


@pytest.fixture(scope="session")
def hostile_bundles() -> ModuleType:
    """`hostile_bundles.py`: copies of a bundle with files replaced, hashes put right."""
    return _module("hostile_bundles")


@pytest.fixture(scope="session")
def docs() -> ModuleType:
    """`test_docs.py`: the pages, and how what they show is read."""
    return _module("test_docs")


@pytest.fixture(scope="session")
def project_copy() -> ModuleType:
    """`project_copy.py`: what docs/adding.md shows, put into a copy of the project."""
    return _module("project_copy")


@pytest.fixture(scope="session")
def published() -> ModuleType:
    """`export/test_open_vljepa.py`: a small checkpoint as the community publishes it."""
    return _module("export/test_open_vljepa")


@pytest.fixture(scope="session")
def live_servers() -> ModuleType:
    """`live_servers.py`: servers that misbehave."""
    return _module("live_servers")


@pytest.fixture(scope="session")
def rtsp_server() -> ModuleType:
    """`rtsp_server.py`: one that plays, wants a login, stalls, and can be killed."""
    return _module("rtsp_server")


@pytest.fixture(scope="session")
def mqtt_broker() -> ModuleType:
    """`mqtt_broker.py`: a real Mosquitto and a subscriber; the test skips where either is absent."""
    pytest.importorskip("paho.mqtt.client")
    found = _module("mqtt_broker")
    if found.MOSQUITTO is None:
        pytest.skip("no mosquitto on this machine")
    return found


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is here: apt-get install chromium")
    with playwright.sync_playwright() as engine:
        chromium = engine.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield chromium
        chromium.close()
