"""A file with a stream, and a session over the whole of it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from vljepa_apps import console

if TYPE_CHECKING:
    from vljepa_runtime import Model, SessionStats

__all__ = ["run_stream", "stream_file"]

FRAME_SIZE, FPS = 240, 8.0


@contextmanager
def stream_file(source: str | None, seconds: float) -> Iterator[str]:
    """The file to run on; a temporary one when none was named."""
    if source:
        yield source
        return
    from vljepa_data.world import make_stream
    from vljepa_runtime.sinks import VideoSink
    from vljepa_runtime.sources import Frame

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stream.mp4"
        world = make_stream(1, minutes=seconds / 60, size=FRAME_SIZE, fps=FPS)
        with VideoSink(path) as sink, console.Progress("writing a video", total=len(world)) as progress:
            for index, image in enumerate(world):
                sink.write_frame(Frame(image=image, time_s=index / FPS, index=index))
                progress.advance()
        yield str(path)


def run_stream(
    model: Model,
    path: str,
    *,
    on_open: Callable[[str], object] = lambda name: None,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> SessionStats:
    """What `vljepa run` does, without printing.

    Args:
        model: What runs.
        path: A source of any kind.
        on_open: Called with the source's name before it is read.
        options: See `Session`.

    Returns:
        Counts and times of the whole session.
    """
    import vljepa_runtime as vj

    with vj.open_source(path) as source, model.session(**options) as session:
        on_open(source.name)
        for _ in session.run(source):
            pass
        return session.stats
