"""A thread reads ahead of the consumer: nothing is lost, reordered or left running."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources import Frame
from vljepa_runtime.sources.protocol import SourceStatus
from vljepa_runtime.sources.video.read_ahead import MOST_BYTES, MOST_ITEMS, read_ahead

Item = Frame | SourceStatus


class Numbered:
    """Frames 0, 1, 2, ... and how many were made."""

    def __init__(self, count: int, *, side: int = 2, error: Exception | None = None) -> None:
        self.count, self.side, self.error = count, side, error
        self.made = 0
        self.closed = False
        self.threads: set[str] = set()

    def __call__(self) -> Iterator[Item]:
        try:
            for index in range(self.count):
                self.made += 1
                self.threads.add(threading.current_thread().name)
                image = np.zeros((self.side, self.side, 3), np.uint8)
                yield Frame(image=image, time_s=float(index), index=index)
            if self.error is not None:
                raise self.error
            yield SourceStatus(kind="warning", message="cut off")
        finally:
            self.closed = True


def settled(source: Numbered) -> int:
    """How many items were made once the reader waits."""
    before = -1
    while before != source.made:
        before = source.made
        time.sleep(0.1)
    return before


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "read ahead"]


def test_items_come_in_order_and_from_one_other_thread() -> None:
    source = Numbered(50)
    items = list(read_ahead(source()))
    assert [item.index for item in items[:-1] if isinstance(item, Frame)] == list(range(50))
    assert isinstance(items[-1], SourceStatus)
    assert source.threads == {"read ahead"}
    assert source.closed
    assert not readers()


def test_an_error_comes_after_the_items_before_it() -> None:
    items = read_ahead(Numbered(5, error=SourceError("no more"))())
    assert [item.index for _, item in zip(range(5), items) if isinstance(item, Frame)] == list(range(5))
    with pytest.raises(SourceError, match="no more"):
        next(items)
    assert not readers()


@pytest.mark.parametrize(
    ("side", "ahead"), [(2, MOST_ITEMS), (1200, MOST_BYTES // (1200 * 1200 * 3)), (3000, 1)]
)
def test_few_items_and_few_bytes_wait(side: int, ahead: int) -> None:
    source = Numbered(30, side=side)
    items = read_ahead(source())
    next(items)
    assert settled(source) == 1 + ahead + 1  # taken, waiting, and one in the reader's hands
    next(items)
    assert settled(source) == 1 + ahead + 2


def test_nothing_is_read_before_the_first_item_is_asked_for() -> None:
    source = Numbered(3)
    items = read_ahead(source())
    assert settled(source) == 0
    assert not readers()
    next(items)


def test_closing_ends_the_reader_and_its_source() -> None:
    source = Numbered(1000)
    items = read_ahead(source())
    next(items)
    items.close()
    assert not readers()
    assert source.closed
    assert source.made < 20
