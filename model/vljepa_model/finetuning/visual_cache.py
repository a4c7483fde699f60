"""Visual tokens of a frozen X-encoder on disk: each clip is decoded and encoded once, however long training runs.

A cache is a folder with one sub-folder per X-encoder and geometry, and one float16 `.npy` per clip in it.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vljepa_data.annotations import Segment
from vljepa_model.runs.fingerprint import fingerprint
from vljepa_runtime.files import SUFFIX, cache_file, has_writer
from vljepa_runtime.preprocessing import Preprocess

__all__ = ["VisualCache"]

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
READING = 2  # counts up when other frames of a clip are taken than before


class VisualCache:
    """Features by clip, bounded, safe to share between processes and to kill at any moment.

    A full cache keeps what it has: training goes round all clips again and again, and dropping the least recently
    used one would drop exactly the one that is needed soonest.

    Args:
        folder: Created when it does not exist; may serve several checkpoints.
        encoder: Frozen; with `pre` it decides which features are whose.
        pre: Geometry of the frames.
        limit_bytes: Upper bound for the whole folder; None for none.
        sharers: Processes that write at the same time; each may use its part of what is free.
    """

    def __init__(
        self,
        folder: Path,
        encoder: nn.Module,
        pre: Preprocess,
        *,
        limit_bytes: int | None = None,
        sharers: int = 1,
    ) -> None:
        reading = {**pre.to_dict(), "reading": READING}
        geometry = hashlib.sha256(json.dumps(reading, sort_keys=True).encode()).hexdigest()[:8]
        self.folder = folder / f"{fingerprint(encoder)}-{geometry}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tokens = pre.tokens
        used = _tidy(folder)
        self._free = None if limit_bytes is None else max(0, limit_bytes - used) // sharers

    def get(self, segment: Segment) -> Tensor | None:
        """Visual tokens (N, Dv) float16 of a clip; None when they are not there or the file is damaged."""
        try:
            visual = np.load(self._path(segment), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        if visual.dtype != np.float16 or visual.ndim != 2 or len(visual) != self.tokens:
            return None
        return torch.from_numpy(visual)

    def put(self, segment: Segment, visual: Tensor) -> bool:
        """Store visual tokens (N, Dv) of a clip; False when the cache, or the disk, is full."""
        buffer = io.BytesIO()
        np.save(buffer, visual.detach().to("cpu", torch.float16).contiguous().numpy(), allow_pickle=False)
        data = buffer.getvalue()
        if self._free is not None and len(data) > self._free:
            return False
        try:
            cache_file(self._path(segment), data)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            self._free = 0
            return False
        if self._free is not None:
            self._free -= len(data)
        return True

    def _path(self, segment: Segment) -> Path:
        """Named by file, its size and time of change, and the part shown: a video that was replaced is encoded anew."""
        found = segment.path.stat()
        identity = [
            str(segment.path.resolve()),
            found.st_size,
            found.st_mtime_ns,
            segment.start_s,
            segment.end_s,
        ]
        name = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:40]
        return self.folder / name[:2] / f"{name}.npy"


def _tidy(folder: Path) -> int:
    """Remove what killed processes left behind; returns the bytes in use."""
    used = 0
    for path in folder.rglob("*"):
        try:
            if path.suffix == SUFFIX:
                has_writer(path, temporary=True)
            elif path.is_file():
                used += path.stat().st_size
        except FileNotFoundError:  # another process renamed it just now
            continue
    return used
