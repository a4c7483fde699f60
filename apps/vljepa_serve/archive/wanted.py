"""What is searched for, as an embedding: words, a picture that somebody sends, or a moment."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from vljepa_runtime import Frame, SourceError, open_source
from vljepa_serve.errors import ServeError

__all__ = ["MAX_PICTURE", "picture_of"]

MAX_PICTURE = 8 << 20  # bytes
DATA_URL = re.compile(r"data:image/(?:jpeg|png|webp);base64,")
MAGIC = {b"\xff\xd8\xff": ".jpg", b"\x89PNG\r\n\x1a\n": ".png", b"RIFF": ".webp"}


def picture_of(url: str) -> npt.NDArray[np.uint8]:
    """The pixels (H, W, 3) uint8 RGB of a picture in a data URL.

    Args:
        url: A JPEG, PNG or WebP of `MAX_PICTURE` bytes at most, in base64.

    Raises:
        ServeError: it is none, damaged or too large.

    Examples:
        >>> import base64, cv2
        >>> import numpy as np
        >>> from vljepa_serve.archive import MAX_PICTURE, picture_of
        >>> data = cv2.imencode(".png", np.zeros((4, 6, 3), np.uint8))[1].tobytes()
        >>> picture_of(f"data:image/png;base64,{base64.b64encode(data).decode()}").shape, len(data) < MAX_PICTURE
        ((4, 6, 3), True)
    """
    head = DATA_URL.match(url[:64])
    if head is None:
        raise _refused("expected a data URL of a JPEG, PNG or WebP picture")
    if len(url) * 3 // 4 > MAX_PICTURE:
        raise ServeError(413, f"A picture may have {MAX_PICTURE >> 20} MiB: shrink it.", field="picture")
    try:
        data = base64.b64decode(url[head.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise _refused("expected base64 behind the comma of the data URL") from None
    suffix = next((suffix for magic, suffix in MAGIC.items() if data.startswith(magic)), None)
    if suffix is None:
        raise _refused("expected a JPEG, PNG or WebP picture")
    with TemporaryDirectory(prefix="vljepa-") as folder:
        file = Path(folder, f"picture{suffix}")
        file.write_bytes(data)
        try:
            with open_source(file) as source:
                frame = next(item for item in source if isinstance(item, Frame))
        except (SourceError, StopIteration) as error:
            raise _refused(str(error).replace(str(file), "the picture")) from None
    return frame.image


def _refused(reason: str) -> ServeError:
    return ServeError(422, f"{reason[:1].upper()}{reason[1:]}.", field="picture")
