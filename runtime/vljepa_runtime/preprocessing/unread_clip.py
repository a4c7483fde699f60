"""A part of a source that is read when a model gets it. Knows no source and no model."""

from __future__ import annotations

import threading
from collections.abc import Callable

from vljepa_runtime.preprocessing.patches import Clip
from vljepa_runtime.preprocessing.preprocess import Preprocess

__all__ = ["UnreadClip"]


class UnreadClip:
    """What `read_clip` gives without a preprocessing: the model that gets it says which frames are taken.

    It is read at its first use; models of the same preprocessing then see the same frames, whatever has become of the
    source. Threads may share it.

    Args:
        name: What it is a clip of.
        read: Reads it as a preprocessing says.

    Examples:
        >>> import vljepa_runtime as vj
        >>> clip: vj.UnreadClip = vj.read_clip("clip.mp4", seconds=3)
        >>> clip
        <UnreadClip of clip.mp4: the model that gets it says which frames are taken>
        >>> vj.load("tiny").answer(clip, "What colour is the box?", ["red", "white"])[0].label
        'white'
        >>> clip.read(vj.Preprocess(frames=4, size=64, patch=16)).frames.shape
        (4, 64, 64, 3)
    """

    def __init__(self, name: str, read: Callable[[Preprocess], Clip]) -> None:
        self._name, self._read = name, read
        self._lock = threading.Lock()
        self._clips: dict[Preprocess, Clip] = {}

    def __repr__(self) -> str:
        return f"<UnreadClip of {self._name}: the model that gets it says which frames are taken>"

    def read(self, pre: Preprocess) -> Clip:
        """The clip as a model of this preprocessing takes it.

        Raises:
            SourceError: see `read_clip`.
        """
        with self._lock:
            if pre not in self._clips:
                self._clips[pre] = self._read(pre)
            return self._clips[pre]
