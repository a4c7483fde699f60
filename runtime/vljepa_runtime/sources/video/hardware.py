"""Hardware decoders: which of them open here, which one a stream is given, and whether it took the stream.

FFmpeg copies their pictures back into memory with all that it says of them, so nobody behind a decoder knows of it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import av
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from vljepa_runtime.arguments import text
from vljepa_runtime.errors import InputError, SourceError
from vljepa_runtime.printable import plain_reason

__all__ = [
    "AUTO",
    "NONE",
    "SOFTWARE",
    "Decoding",
    "HardwareDecoder",
    "check_hwaccel",
    "hardware_decoders",
    "open_decoding",
    "refuse_device",
]

NONE, AUTO = "none", "auto"
CODECS = ("h264", "hevc", "vp9", "mpeg2video", "mpeg4")  # what cameras and files come in, the usual first
KEEPS_ALL = int(av.__version__.split(".")[0]) >= 18
OLD = f"PyAV {av.__version__} loses colours, rotation and durations on the way back; take PyAV 18"
UNUSED = "no decoder of this FFmpeg uses it"
NO_LIBRARY = "its driver's library does not load"
OTHERWISE = "leave hwaccel out, or say auto, which falls back to the processor"


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareDecoder:
    """A type of device that this FFmpeg was built for, after it was tried.

    Attributes:
        name: FFmpeg's: cuda, vaapi, videotoolbox, ...
        codecs: Which of the usual ones it is asked to decode where it opens; what a device really takes depends on it.
        note: Why it does not open; empty where it does.
    """

    name: str
    codecs: tuple[str, ...] = ()
    note: str = ""

    @property
    def opens(self) -> bool:
        """Whether there is such a device here."""
        return not self.note


def hardware_decoders() -> list[HardwareDecoder]:
    """Try every type of device that this FFmpeg was built for.

    Examples:
        >>> from vljepa_runtime.sources import HardwareDecoder, hardware_decoders
        >>> found: list[HardwareDecoder] = hardware_decoders()
        >>> all(each.codecs if each.opens else each.note for each in found)
        True
    """
    return [_tried(name) for name in hwdevices_available()]


def _tried(name: str) -> HardwareDecoder:
    codecs = [av.Codec(codec, "r") for codec in CODECS if codec in av.codecs_available]
    used = [codec for codec in codecs if _picture_format(codec, name) is not None]
    names = tuple(codec.name for codec in used)
    if not used:
        return HardwareDecoder(name=name, note=UNUSED)
    if not KEEPS_ALL:
        return HardwareDecoder(name=name, codecs=names, note=OLD)
    try:
        HWAccel(name).create(used[0])
    except (OSError, RuntimeError, ValueError) as error:  # PyAV's own are all of these
        no_library = getattr(error, "errno", None) == errno.EPERM  # what FFmpeg's loaders give
        note = NO_LIBRARY if no_library else plain_reason(error)
        return HardwareDecoder(name=name, codecs=names, note=note or type(error).__name__)
    return HardwareDecoder(name=name, codecs=names)


def _picture_format(codec: av.Codec, device: str) -> str | None:
    """The format of pictures that lie on a device; None where it is not asked to decode this."""
    for config in codec.hardware_configs:
        if config.is_supported and config.device_type.name == device and config.format is not None:
            return config.format.name
    return None


def check_hwaccel(hwaccel: object) -> str:
    """A way to decode that this FFmpeg knows.

    Raises:
        InputError: it is another.
    """
    wanted, built = text(hwaccel, "hwaccel"), hwdevices_available()
    if wanted not in (NONE, AUTO, *built):
        known = ", ".join(built) or "nothing"
        raise InputError(
            f"expected hwaccel as none, auto or what this FFmpeg was built for ({known}), got {wanted!r}"
        )
    return wanted


def refuse_device(hwaccel: object, name: str) -> None:
    """Of what FFmpeg does not decode, say that no type of device can be named; `auto` has nothing to choose there.

    Raises:
        InputError: this FFmpeg knows no such device.
        SourceError: one is named.
    """
    if (wanted := check_hwaccel(hwaccel)) not in (NONE, AUTO):
        raise SourceError(f"{name} is not decoded by FFmpeg, so {wanted} cannot be used: leave hwaccel out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How a stream was opened.

    Attributes:
        wanted: none, auto, or a type of device.
        device: That decodes it, so far as can be known before the first picture; empty for the processor.
        reason: Why it is none; empty where one decodes or none was wanted.
    """

    wanted: str = NONE
    device: str = ""
    reason: str = ""

    def left_to_processor(self, stream: VideoStream) -> str:
        """Why the processor decodes a stream although a device was wanted; to be asked after the first picture.

        Raises:
            SourceError: a device was named, and it did not take the stream.
        """
        context = stream.codec_context
        if not self.device or context.pix_fmt == _picture_format(context.codec, self.device):
            return self.reason
        profile = f" ({context.profile})" if context.profile else ""
        reason = f"{self.device} does not take this {context.name}{profile}"
        if self.wanted != AUTO:
            raise SourceError(f"{reason}: {OTHERWISE}")
        return reason


SOFTWARE = Decoding()


class _Closable(Protocol):
    def close(self) -> object: ...


Opened = TypeVar("Opened", bound=_Closable)


def open_decoding(
    hwaccel: str,
    opens: Callable[[HWAccel | None], Opened],
    decoder_of: Callable[[Opened], VideoCodecContext | None],
) -> tuple[Opened, Decoding]:
    """Open a stream with the first device that opens and decodes it, or without one.

    Args:
        hwaccel: `none`, `auto` or a type of device, checked.
        opens: Opens it, with what PyAV's `av.open` takes as `hwaccel`. A second time only where one device of several
            does not decode the stream.
        decoder_of: Its decoder; None where FFmpeg decodes nothing of it.

    Raises:
        SourceError: a device was named that does not open or does not decode the stream.
    """
    if hwaccel == NONE:
        return opens(None), SOFTWARE
    tried = hardware_decoders()
    names = [each.name for each in tried if each.opens and hwaccel in (AUTO, each.name)]
    faults = [(each.note, each.name) for each in tried if not each.opens]
    if not names and hwaccel != AUTO:
        there = ", ".join(each.name for each in tried if each.opens) or "none"
        why = next(note for note, name in faults if name == hwaccel)
        raise SourceError(f"{hwaccel} does not open here: {why}; what opens: {there}; {OTHERWISE}")
    for name in names:
        opened = opens(HWAccel(name, allow_software_fallback=True))
        context = decoder_of(opened)
        if context is not None and context.is_hwaccel:
            return opened, Decoding(wanted=hwaccel, device=name)
        if context is None and hwaccel == AUTO:
            return opened, SOFTWARE
        fault = "pictures come one by one" if context is None else f"it does not decode {context.name}"
        faults.append((fault, name))
        if hwaccel == AUTO and name == names[-1]:  # the processor can go on with it
            return opened, Decoding(wanted=hwaccel, reason=_told(faults))
        opened.close()
        if hwaccel != AUTO:
            raise SourceError(f"{name} cannot be used, {fault}: {OTHERWISE}")
    return opens(None), Decoding(wanted=hwaccel, reason=_told(faults))


def _told(faults: Sequence[tuple[str, str]]) -> str:
    """What was tried and why it failed; what failed alike is named together."""
    return "; ".join(_lines(faults)) or "this FFmpeg was built without hardware decoders"


def _lines(faults: Sequence[tuple[str, str]]) -> Iterator[str]:
    for note in dict.fromkeys(note for note, _ in faults):
        yield f"{', '.join(name for other, name in faults if other == note)}: {note}"
