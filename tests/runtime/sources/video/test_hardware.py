"""Hardware decoders: which is chosen, why none is, and that pictures as devices give them look the same."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_runtime.errors import InputError, SourceError
from vljepa_runtime.sources import (
    EVERY_FRAME,
    Frame,
    HardwareDecoder,
    Hints,
    SourceStatus,
    hardware_decoders,
    open_source,
)
from vljepa_runtime.sources.live.source import Backoff
from vljepa_runtime.sources.network.opening import open_network
from vljepa_runtime.sources.video import decoding, files, hardware
from vljepa_runtime.sources.video.hardware import Decoding, check_hwaccel, open_decoding


def write_clip(path: Path, *, format: str = "yuv420p", full_range: bool = False, lines: int = 48) -> Path:
    """Eight pictures of noise in blocks, as H.264 of BT.709."""
    noise = np.random.default_rng(0).integers(0, 256, (8, lines // 8, 8, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "5"})
        stream.height, stream.width, stream.pix_fmt = lines, 64, format
        stream.codec_context.colorspace, stream.codec_context.color_range = 1, 1 + full_range
        for index, blocks in enumerate(noise):
            image = blocks.repeat(8, axis=0).repeat(8, axis=1)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
                format=format, dst_colorspace=1, dst_color_range=1 + full_range
            )
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4")


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Say which types of device there are: those without a note open."""

    def set_devices(**notes: str) -> None:
        found = [HardwareDecoder(name=name, codecs=("h264",), note=note) for name, note in notes.items()]
        monkeypatch.setattr(hardware, "hardware_decoders", lambda: found)
        monkeypatch.setattr(hardware, "hwdevices_available", lambda: list(notes))

    return set_devices


def read(source: vj.Source, hints: Hints = EVERY_FRAME) -> tuple[list[Frame], list[str]]:
    with source:
        items = list(source.frames(hints))
    frames = [item for item in items if isinstance(item, Frame)]
    return frames, [item.message for item in items if isinstance(item, SourceStatus)]


def assert_same(frames: list[Frame], plain: list[Frame]) -> None:
    assert [(each.time_s, each.index, each.duration_s) for each in frames] == [
        (each.time_s, each.index, each.duration_s) for each in plain
    ]
    for frame, other in zip(frames, plain):
        np.testing.assert_array_equal(frame.image, other.image)


class Opening:
    """Stands for what opens a stream: notes with which device, and which streams were closed."""

    def __init__(self, codec: str | None, decodes: tuple[str, ...] = ()) -> None:
        self.with_devices: list[str | None] = []
        self.closed: list[str | None] = []
        self._codec, self._decodes = codec, decodes

    def __call__(self, device: Any) -> Any:
        name = None if device is None else device.name
        self.with_devices.append(name)
        context = self._codec and SimpleNamespace(name=self._codec, is_hwaccel=name in self._decodes)
        return SimpleNamespace(close=lambda: self.closed.append(name), context=context)


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyAV's settings that can be asked for their name."""
    monkeypatch.setattr(hardware, "HWAccel", lambda name, **options: SimpleNamespace(name=name, **options))


@pytest.mark.usefixtures("named")
class TestChoosing:
    @pytest.mark.parametrize(
        ("wanted", "decodes", "opened", "device", "reason"),
        [
            ("none", ("vaapi",), [None], "", ""),
            ("auto", ("vaapi", "qsv"), ["vaapi"], "vaapi", ""),
            ("auto", ("qsv",), ["vaapi", "qsv"], "qsv", ""),
            ("auto", (), ["vaapi", "qsv"], "", "cuda: no; vaapi, qsv: it does not decode h264"),
            ("qsv", ("vaapi", "qsv"), ["qsv"], "qsv", ""),
        ],
    )
    def test_the_first_that_opens_and_decodes(
        self, devices: Callable[..., None], wanted: str, decodes: Any, opened: Any, device: str, reason: str
    ) -> None:
        devices(cuda="no", vaapi="", qsv="")
        opens = Opening("h264", decodes)
        _, found = open_decoding(wanted, opens, lambda stream: stream.context)
        assert (opens.with_devices, opens.closed) == (opened, opened[:-1])
        assert found == Decoding(wanted=wanted, device=device, reason=reason)

    def test_none_opens(self, devices: Callable[..., None]) -> None:
        devices(cuda="no driver", vaapi="no such device", qsv="no driver")
        opens = Opening("h264")
        _, found = open_decoding("auto", opens, lambda stream: stream.context)
        assert opens.with_devices == [None]
        assert found.reason == "cuda, qsv: no driver; vaapi: no such device"
        with pytest.raises(SourceError, match="vaapi does not open here: no such device; what opens: none;"):
            open_decoding("vaapi", opens, lambda stream: stream.context)

    def test_an_ffmpeg_without_any(self, devices: Callable[..., None]) -> None:
        devices()
        _, found = open_decoding("auto", Opening("h264"), lambda stream: stream.context)
        assert found.reason == "this FFmpeg was built without hardware decoders"
        with pytest.raises(InputError, match=r"was built for .nothing., got 'cuda'"):
            check_hwaccel("cuda")

    def test_one_that_is_named_has_to_decode_it(self, devices: Callable[..., None]) -> None:
        devices(cuda="", vaapi="no")
        opens = Opening("libdav1d")
        with pytest.raises(SourceError, match="cuda cannot be used, it does not decode libdav1d: leave"):
            open_decoding("cuda", opens, lambda stream: stream.context)
        assert opens.closed == ["cuda"]
        with pytest.raises(SourceError, match="vaapi does not open here: no; what opens: cuda;"):
            open_decoding("vaapi", opens, lambda stream: stream.context)

    def test_pictures_one_by_one_need_none(self, devices: Callable[..., None]) -> None:
        devices(cuda="", vaapi="")
        opens = Opening(None)
        assert open_decoding("auto", opens, lambda stream: stream.context)[1] == hardware.SOFTWARE
        assert opens.with_devices == ["cuda"]
        with pytest.raises(SourceError, match="cuda cannot be used, pictures come one by one"):
            open_decoding("cuda", opens, lambda stream: stream.context)


@pytest.mark.parametrize(
    ("value", "message"),
    [("", "hwaccel"), (3, "hwaccel: expected text"), ("nvidia", "none, auto or what.*got 'nvidia'")],
)
def test_what_is_no_way_to_decode(clip: Path, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_source(clip, hwaccel=value)


class TestDevices:
    """What is told of a type of device."""

    @pytest.fixture(autouse=True)
    def cuda(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """FFmpeg's own table says that CUDA decodes H.264, where it was built for it."""
        if not any("h264" in each.codecs for each in hardware_decoders()):
            pytest.skip("this FFmpeg was built without a device for H.264")
        monkeypatch.setattr(hardware, "KEEPS_ALL", True)

    def one(self) -> HardwareDecoder:
        return next(each for each in hardware_decoders() if "h264" in each.codecs)

    @pytest.mark.parametrize(
        ("error", "note"),
        [
            (None, ""),
            (av.error.PermissionError(errno.EPERM, "Operation not permitted"), hardware.NO_LIBRARY),
            (OSError(errno.ENODEV, "No such device"), "no such device"),
            (NotImplementedError("No supported config"), "no supported config"),
            (RuntimeError(), "RuntimeError"),
        ],
        ids=repr,
    )
    def test_each_is_tried(self, monkeypatch: pytest.MonkeyPatch, error: Exception | None, note: str) -> None:
        def create(codec: av.Codec) -> None:
            assert codec.name == "h264"
            if error is not None:
                raise error

        monkeypatch.setattr(hardware, "HWAccel", lambda name: SimpleNamespace(create=create))
        found = self.one()
        assert found.note == note
        assert found.opens is (error is None)

    def test_a_pyav_that_loses_colours_uses_none(self, monkeypatch: pytest.MonkeyPatch, clip: Path) -> None:
        monkeypatch.setattr(hardware, "KEEPS_ALL", False)
        found = self.one()
        assert "take PyAV 18" in found.note
        with pytest.raises(SourceError, match=f"{found.name} does not open here: PyAV .* take PyAV 18"):
            open_source(clip, hwaccel=found.name)


class TestFiles:
    def test_without_a_device_the_processor_decodes_and_says_so(self, clip: Path) -> None:
        found = hardware_decoders()
        if any(each.opens for each in found):
            pytest.skip("a hardware decoder is there")
        plain, silence = read(open_source(clip))
        frames, (said,) = read(open_source(clip, hwaccel="auto"))
        assert silence == []
        assert said.startswith(f"{clip} is decoded on the processor (")
        assert all(each.name in said and each.note in said for each in found)
        assert_same(frames, plain)

    def test_a_file_that_plays_again_says_so_once(self, clip: Path, devices: Callable[..., None]) -> None:
        devices(cuda="no driver")
        frames, said = 0, []
        with open_source(clip, hwaccel="auto", loop=True) as source:
            for item in source:
                frames += isinstance(item, Frame)
                said += [item.message] if isinstance(item, SourceStatus) else []
                if frames == 20:  # in the third pass
                    break
        assert [each.rpartition(" is ")[2] for each in said] == ["decoded on the processor (cuda: no driver)"]

    def test_a_device_that_does_not_decode_it(self, clip: Path, devices: Callable[..., None]) -> None:
        """Really opened with the settings of a device that no decoder of this FFmpeg uses."""
        unused = next((each.name for each in hardware_decoders() if each.note == hardware.UNUSED), None)
        if unused is None:
            pytest.skip("every type of device is used by a decoder")
        plain, _ = read(open_source(clip))
        devices(**{unused: ""})
        frames, said = read(open_source(clip, hwaccel="auto"))
        assert said == [f"{clip} is decoded on the processor ({unused}: it does not decode h264)"]
        assert_same(frames, plain)
        with pytest.raises(SourceError, match=f"{unused} cannot be used, it does not decode h264"):
            open_source(clip, hwaccel=unused)

    @pytest.mark.parametrize("wanted", ["auto", "cuda"])
    def test_a_device_that_does_not_take_its_profile(
        self, clip: Path, monkeypatch: pytest.MonkeyPatch, wanted: str
    ) -> None:
        """FFmpeg then decodes on the processor, which is known with the first picture."""

        def fallen_back(_: str, opens: Callable[[None], Any], decoder_of: object) -> Any:
            return opens(None), Decoding(wanted=wanted, device="cuda")

        monkeypatch.setattr(files, "open_decoding", fallen_back)
        if wanted == "cuda":
            with pytest.raises(SourceError, match=r"cuda does not take this h264 .*High"):
                read(open_source(clip))
            return
        frames, (said,) = read(open_source(clip))
        assert len(frames) == 8
        assert "is decoded on the processor (cuda does not take this h264 (High" in said

    def test_pictures_that_lie_on_the_device_are_no_fault(self) -> None:
        config = SimpleNamespace(
            device_type=SimpleNamespace(name="vaapi"),
            format=SimpleNamespace(name="vaapi_vld"),
            is_supported=True,
        )
        codec = SimpleNamespace(hardware_configs=[config])
        stream: Any = SimpleNamespace(codec_context=SimpleNamespace(codec=codec, pix_fmt="vaapi_vld"))
        assert Decoding(wanted="vaapi", device="vaapi").left_to_processor(stream) == ""

    @pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
    @pytest.mark.parametrize("short_side", [None, 32])
    @pytest.mark.parametrize("format", ["nv12", "p010le"])
    def test_pictures_in_the_formats_of_devices_look_the_same(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        full_range: bool,
        short_side: int | None,
        format: str,
    ) -> None:
        """Their bytes are those of the processor's decoder in another order."""
        planar = {"nv12": "yuv420p", "p010le": "yuv420p10le"}[format]
        path = write_clip(tmp_path / "clip.mp4", format=planar, full_range=full_range)
        hints = Hints(short_side=short_side)
        plain, _ = read(open_source(path), hints)
        decode = decoding.decode_packet
        given: list[av.VideoFrame] = []

        def from_device(stream: Any, packet: Any) -> Iterator[av.VideoFrame]:
            for frame in decode(stream, packet):
                assert frame.format.name in (planar, "yuvj420p")
                given.append(frame.reformat(format=format))
                yield given[-1]

        monkeypatch.setattr(decoding, "decode_packet", from_device)
        frames, _ = read(open_source(path), hints)
        assert [each.format.name for each in given] == [format] * 8
        assert_same(frames, plain)


class TestOthers:
    def test_rtsp_says_it_once_connected(self, rtsp_server: ModuleType, devices: Callable[..., None]) -> None:
        devices(cuda="no driver")
        remarks: list[SourceStatus] = []
        with rtsp_server.playing(60) as (address, _):
            url, backoff = f"rtsp://{address}", Backoff(first_s=0.05, cap_s=0.2)
            with open_network(url, backoff=backoff, hwaccel="auto") as source:
                for item in source:
                    if isinstance(item, Frame):
                        break
                    remarks.append(item)
            with (
                open_network(url, backoff=backoff, hwaccel="cuda") as source,
                pytest.raises(SourceError, match="cuda does not open here: no driver"),
            ):
                next(iter(source))
        assert [each.kind for each in remarks] == ["connected", "warning"]
        assert remarks[1].message.endswith(
            "gives pictures that are decoded on the processor (cuda: no driver)"
        )

    def test_a_file_on_a_server(
        self, live_servers: ModuleType, clip: Path, devices: Callable[..., None]
    ) -> None:
        devices(cuda="no driver")
        data = clip.read_bytes()

        def answer(client: Any, request: bytes) -> None:
            head = f"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {len(data)}\r\n\r\n"
            client.sendall(head.encode() + data)

        with live_servers.serving(answer) as port:
            frames, said = read(open_source(f"http://127.0.0.1:{port}/clip.mp4", hwaccel="auto"))
        assert len(frames) == 8
        assert [each.rpartition(" is ")[2] for each in said] == ["decoded on the processor (cuda: no driver)"]

    def test_what_ffmpeg_does_not_decode_takes_none(
        self, tmp_path: Path, devices: Callable[..., None]
    ) -> None:
        devices(cuda="")
        picture = tmp_path / "a.png"
        with av.open(str(picture), "w", format="image2") as container:
            stream = container.add_stream("png")
            stream.height, stream.width, stream.pix_fmt = 8, 8, "rgb24"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((8, 8, 3), np.uint8), "rgb24")))
        for source in (picture, tmp_path, 0, "gst:videotestsrc"):
            with pytest.raises(SourceError, match="is not decoded by FFmpeg, so cuda cannot be used"):
                open_source(source, hwaccel="cuda")
        for source in (picture, tmp_path):
            frames, said = read(open_source(source, hwaccel="auto"))
            assert (len(frames), said) == (1, [])

    def test_streams_of_a_group(self, model: vj.Model, clip: Path, devices: Callable[..., None]) -> None:
        devices(cuda="no driver")
        with vj.SessionGroup() as group:
            with pytest.raises(InputError, match="expected hwaccel as none, auto or what"):
                group.add(clip, model.session(), hwaccel="nvidia")
            group.add(clip, model.session(), hwaccel="auto")
            said = [event.text for event in group.run() if event.kind == "status"]
        assert any(each and "is decoded on the processor (cuda: no driver)" in each for each in said)
