"""Items of a source made by a thread while the consumer works: decoding a file and inference need not take turns."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from vljepa_runtime.sources.protocol import Frame, Item

__all__ = ["read_ahead"]

MOST_ITEMS = 8
MOST_BYTES = 16 << 20  # pictures that nobody shrinks have 6 MB at 1080p
WAKE_S = 0.5  # so that Ctrl-C works everywhere
JOIN_S = 0.8  # Ctrl-C answers within a second, whatever a file system does


@dataclass(slots=True)
class _Queue:
    changed: threading.Condition = field(default_factory=threading.Condition)
    items: deque[Item] = field(default_factory=deque)
    error: BaseException | None = None
    done: bool = False
    stopped: bool = False


def read_ahead(items: Iterator[Item], leave: Callable[[], object] = lambda: None) -> Iterator[Item]:
    """The same items in the same order, and the same error after the last one.

    Args:
        items: Is only touched by a thread of its own, which starts with the first item asked for and ends with the
            last one or when this iterator is closed. At most 8 items and 16 MB of pictures (one of any size) wait.
        leave: Called when this iterator is closed, so that `items` wait no longer.
    """
    queue = _Queue()
    thread = threading.Thread(target=_read, args=(items, queue), name="read ahead", daemon=True)
    thread.start()
    try:
        while (item := _take(queue)) is not None:
            yield item
    finally:
        leave()
        with queue.changed:
            queue.stopped = True
            queue.items.clear()
            queue.changed.notify_all()
        thread.join(JOIN_S)


def _take(queue: _Queue) -> Item | None:
    with queue.changed:
        while not queue.items:
            if queue.error is not None:
                raise queue.error
            if queue.done:
                return None
            queue.changed.wait(WAKE_S)
        queue.changed.notify_all()
        return queue.items.popleft()


def _read(items: Iterator[Item], queue: _Queue) -> None:
    """Body of the thread."""
    error: BaseException | None = None
    try:
        for item in items:
            with queue.changed:
                while not (queue.stopped or _fits(queue, item)):
                    queue.changed.wait()
                if queue.stopped:
                    break
                queue.items.append(item)
                queue.changed.notify_all()
    except BaseException as caught:  # the consumer's to handle
        error = caught
    finally:
        if hasattr(items, "close"):
            items.close()
        with queue.changed:
            queue.error, queue.done = error, True
            queue.changed.notify_all()


def _fits(queue: _Queue, item: Item) -> bool:
    waiting = sum(map(_bytes, queue.items))
    return not queue.items or (len(queue.items) < MOST_ITEMS and waiting + _bytes(item) <= MOST_BYTES)


def _bytes(item: Item) -> int:
    return item.image.nbytes if isinstance(item, Frame) else 0
