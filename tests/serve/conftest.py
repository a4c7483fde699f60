"""One model and one recording for all tests of the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

for extra in ("fastapi", "uvicorn", "tomlkit", "httpx"):
    pytest.importorskip(extra)

from serving import Running, camera_toml, running, wait_for  # noqa: E402

import vljepa_runtime as vj  # noqa: E402
from vljepa_apps.demo.stream import write_video  # noqa: E402
from vljepa_data.world import Split, make_stream  # noqa: E402


@pytest.fixture(scope="session")
def model() -> vj.Model:
    return vj.load("tiny", engine="onnxruntime:cpu")


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some seconds of the procedural world."""
    path = tmp_path_factory.mktemp("recording") / "clip.mp4"
    write_video(make_stream(3, Split.TEST, minutes=0.15, size=128, fps=8), path, fps=8)
    return path


@pytest.fixture(scope="module")
def server(model: vj.Model, recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One looped recording as a camera, and one camera that is off."""
    text = camera_toml("door", recording, loop=True) + camera_toml("yard", recording, on=False)
    with running(model, tmp_path_factory.mktemp("served"), text) as found:
        wait_for(lambda: found.service.fleet.camera("door").now)
        yield found
