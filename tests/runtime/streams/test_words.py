"""Words of a stream are made beside its windows: what goes on meanwhile, how far, and what comes of a failure."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest
from reels import PATIENCE_S, Reel, Slow, run, runs, wait_for

import vljepa_runtime as vj
from vljepa_runtime.errors import EngineError
from vljepa_runtime.streams.words import MOST_WAITING


class Wordy(Slow):
    """A model whose Y-decoder waits until it may go on, or fails."""

    def __init__(self, model: vj.Model, *, fails: bool = False) -> None:
        super().__init__(model)
        self.may, self.fails = threading.Event(), fails

    def decode(self, embedding: Any) -> str:
        assert self.may.wait(PATIENCE_S)
        if self.fails:
            raise EngineError("no words today")
        return "words"


@pytest.mark.parametrize("live", [False, True])
def test_windows_go_on_while_words_are_made(model: vj.Model, live: bool) -> None:
    seen: list[float] = []
    wordy = Wordy(model)
    paced = {
        index: partial(wait_for, lambda index=index: len(seen) > index // 8 - 3) for index in (24, 32, 40)
    }
    with vj.SessionGroup() as group:
        group.add(
            Reel(7.0, live=live, extra=paced),
            wordy.session(select="every"),
            on_window=lambda window, query, embedding: (
                seen.append(window.end_s),
                len(seen) == 3 and wordy.may.set(),  # the words of the first wait for the third window
            ),
        )
        (events,) = run(group).values()
    words = [event for event in events if event.kind == "segment"]
    assert [event.text for event in words] == ["words"] * len(seen)
    assert [event.end_s for event in words] == sorted(seen)


def test_so_many_segments_wait_for_their_words_and_no_more(model: vj.Model) -> None:
    seen: list[float] = []
    wordy = Wordy(model)
    with vj.SessionGroup() as group:
        group.add(
            Reel(30.0),
            wordy.session(select="every"),
            on_window=lambda window, query, embedding: seen.append(window.end_s),
        )
        thread, events = runs(group)
        wait_for(lambda: len(seen) == MOST_WAITING)
        assert len(seen) == MOST_WAITING
        wordy.may.set()
        wait_for(lambda: group.stats["reel 0"].state == "ended")
        group.stop()
        thread.join(PATIENCE_S)
    assert sum(event.kind == "segment" for event in events) == len(seen) == 30


def test_words_that_cannot_be_made_end_their_stream_behind_what_it_told(model: vj.Model) -> None:
    wordy = Wordy(model, fails=True)
    wordy.may.set()
    with vj.SessionGroup() as group:
        group.add(Reel(6.0), wordy.session(select="every"), name="wordy")
        group.add(Reel(6.0), wordy.session(select="every", decode="never"), name="other")
        found = run(group)
    assert [event.kind for event in found["wordy"]] == ["status", "error"]
    assert "no words today" in found["wordy"][-1].text
    assert isinstance(group.failures["wordy"], EngineError)
    assert [event.kind for event in found["other"]] == ["status", *["segment"] * 6]
