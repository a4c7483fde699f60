"""A browser, and a site whose cameras show known footage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from page_site import FPS, PATIENCE_S, NetworkCamera, Site
from serving import camera_toml, wait_for

from vljepa_apps.demo.stream import write_video
from vljepa_data.world import Split, make_clip

CLIP_FRAMES = 24
FALLS, GROWS = (0, 15, 147, 202, 226, 237, 262, 285), (10, 11, 16, 28, 44, 110, 145, 160)


def _clips(seeds: Sequence[int], action: str) -> list[np.ndarray]:
    """Clips in which one thing does one thing."""
    clips = [make_clip(seed, Split.TEST, kind="single", size=96, frames=CLIP_FRAMES) for seed in seeds]
    assert {event.action for clip in clips for event in clip.events} == {action}
    return [clip.frames for clip in clips]


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings for cameras: `belt.mp4` alternates between things that fall and things that grow."""
    folder = tmp_path_factory.mktemp("footage")
    falls, grows = _clips(FALLS, "fall"), _clips(GROWS, "grow")
    alternating = [frame for pair in zip(falls, grows) for clip in pair for frame in clip]
    write_video(alternating, folder / "belt.mp4", fps=FPS)
    write_video([frame for clip in falls for frame in clip], folder / "falls.mp4", fps=FPS)
    write_video([frame for clip in grows for frame in clip], folder / "grows.mp4", fps=FPS)
    return folder


@pytest.fixture(scope="module")
def network(footage: Path) -> Iterator[NetworkCamera]:
    """A camera of the network that is plugged in."""
    with NetworkCamera(footage / "falls.mp4") as camera:
        yield camera


@pytest.fixture(scope="module")
def site(footage: Path, network: NetworkCamera, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Three cameras, each of which has said something."""
    folder = tmp_path_factory.mktemp("site")
    cameras = [
        camera_toml("belt", footage / "belt.mp4", loop=True),
        camera_toml("porch", footage / "falls.mp4", loop=True),
        camera_toml("yard", network.address),
    ]
    (folder / "serve.toml").write_text("".join(cameras))
    found = Site(folder)
    found.start()
    wait_for(
        lambda: all(found.told("segment", id) for id in ("belt", "porch", "yard")), patience_s=PATIENCE_S
    )
    yield found
    found.kill()
