"""The last seconds of a stream as packets: what is cut, what is let go, and that memory stays where it is."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from vljepa_runtime.errors import InputError
from vljepa_runtime.sources import PacketRing
from vljepa_runtime.sources.ring.packet_ring import Encoded
from vljepa_runtime.sources.ring.track import Track

ONE, OTHER = cast(Track, "one"), cast(Track, "other")  # a ring never looks at them


def packet(at: int, *, key: bool = False, size: int = 10, time_s: float | None = None) -> Encoded:
    return Encoded(data=bytes(size), is_key=key, pts=at, time_s=at if time_s is None else time_s)


def ring_of(count: int, *, every: int = 5, **options: Any) -> PacketRing:
    """A packet a second, every fifth a key frame."""
    ring = PacketRing(**{"seconds": 1000, **options})
    ring.begin(ONE)
    for at in range(count):
        ring.add(packet(at, key=at % every == 0))
    return ring


def stamps(ring: PacketRing, start_s: float, end_s: float) -> list[int]:
    cut = ring.cut(start_s, end_s)
    return [each.pts for each in cut.packets] if cut else []


@pytest.mark.parametrize(
    ("start_s", "end_s", "found"),
    [
        (7, 9, range(5, 9)),
        (5, 6, range(5, 6)),
        (4.9, 6, range(6)),
        (-3, 2, range(2)),
        (18, 99, range(15, 20)),
        (30, 40, []),
        (7, 7, range(5, 7)),
        (7.2, 7.4, range(5, 8)),
    ],
    ids=str,
)
def test_a_cut_begins_with_the_key_frame_before_and_ends_before_its_end(
    start_s: float, end_s: float, found: range
) -> None:
    assert stamps(ring_of(20), start_s, end_s) == list(found)


def test_it_reaches_back_its_seconds_and_a_group_at_most() -> None:
    ring = ring_of(100, seconds=12)
    assert stamps(ring, 0, 1000) == list(range(85, 100))


def test_what_its_consumer_has_not_come_to_stays() -> None:
    ring = PacketRing(seconds=10)
    ring.begin(ONE)
    ring.advance(3)
    for at in range(100):
        ring.add(packet(at, key=at % 5 == 0))
    assert len(stamps(ring, 0, 1000)) == 100
    ring.advance(52)
    assert stamps(ring, 0, 1000)[0] == 40


def test_what_comes_before_a_key_frame_is_left_out() -> None:
    ring = PacketRing(seconds=10)
    ring.add(packet(0, key=True))  # of no track
    ring.begin(ONE)
    for at in (1, 2):
        ring.add(packet(at))
    assert ring.bytes == 0
    assert ring.cut(0, 10) is None


def test_a_group_larger_than_the_ring_is_let_go_and_the_next_one_counts() -> None:
    ring = PacketRing(seconds=1000, max_bytes=100)
    ring.begin(ONE)
    for at in range(30):
        ring.add(packet(at, key=at in (0, 25)))
        assert ring.bytes <= 100
    assert stamps(ring, 0, 1000) == [25, 26, 27, 28, 29]


def test_pictures_that_need_what_is_gone_are_left_out() -> None:
    """Open groups: pictures decoded after a key frame, shown before it."""
    ring = ring_of(5)
    ring.add(packet(8, key=True))
    for at in (6, 7, 9):
        ring.add(packet(at))
    assert stamps(ring, 8, 99) == [8, 9]
    assert stamps(ring, 0, 99) == [0, 1, 2, 3, 4, 8, 6, 7, 9]


def test_a_cut_holds_no_two_tracks() -> None:
    ring = ring_of(10)
    ring.begin(OTHER)
    ring.add(packet(1, time_s=10.5))  # no key frame of the new one
    ring.add(packet(2, key=True, time_s=11))
    ring.add(packet(3, time_s=12))
    assert stamps(ring, 3, 12.5) == [2, 3]
    assert stamps(ring, 3, 9) == list(range(9))


def test_times_come_later_than_packets() -> None:
    ring = PacketRing(seconds=5)
    ring.begin(ONE)
    for at in range(20):
        ring.add(Encoded(data=b"x", is_key=at % 4 == 0, pts=at))
        if at >= 6 and at != 12:  # one is damaged
            ring.shown(at - 6, (at - 6) * 2.0)
    cut = ring.cut(20, 24)
    assert cut is not None
    assert (cut.start_s, [each.pts for each in cut.packets]) == (16.0, [8, 9, 10, 11])


def test_packets_never_shown_get_a_time_all_the_same() -> None:
    ring = PacketRing(seconds=5, max_bytes=10_000)
    ring.begin(ONE)
    for at in range(3000):
        ring.add(Encoded(data=b"x", is_key=at % 4 == 0, pts=at))
        ring.shown(None, float(at))
    assert 0 < ring.bytes < 300


@pytest.mark.parametrize("seed", range(5))
def test_every_cut_is_what_a_plain_list_gives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ring, every = PacketRing(seconds=1e6), []
    ring.begin(ONE)
    for at in range(200):
        every.append(packet(at, key=bool(rng.random() < 0.1) or at == 0, size=int(rng.integers(1, 50))))
        ring.add(every[-1])
    for _ in range(50):
        start, end = sorted(rng.uniform(-10, 230, 2))
        begin = max([p.pts for p in every if p.is_key and p.pts <= start], default=0)
        plain = [p.pts for p in every if begin <= p.pts < end]
        assert stamps(ring, start, end) == (plain if start <= 199 else [])
    assert ring.bytes == sum(len(p.data) for p in every)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"seconds": 0}, "seconds"), ({"seconds": float("nan")}, "seconds"), ({"max_bytes": 0}, "max_bytes")],
    ids=str,
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PacketRing(**{"seconds": 1, **options})
