"""A Y-decoder that fails while a camera is watched: embedding goes on, the words say so and come back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_runtime.wording import Wording

VECTOR = np.zeros(4, np.float32)


class Decoder:
    """Fails as often as it is told to."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.calls = list(errors), 0

    def __call__(self, embedding: Any) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "a ball falls"


def test_a_decoder_that_fails_is_tried_again_later_and_later() -> None:
    now_s = 0.0
    decoder = Decoder(*[vj.RunError("no memory left")] * 10)
    wording = Wording(decoder, goes_on=True, clock=lambda: now_s)
    tried, told = [], []
    while decoder.calls < 11:
        before = decoder.calls
        words, said = wording.words(VECTOR)
        assert words == ("a ball falls" if decoder.calls == 11 else None)
        tried += [now_s] * (decoder.calls - before)
        told += [said] if said else []
        now_s += 1
    assert np.diff(tried).tolist() == [10, 20, 40, 80, 160, 320, 600, 600, 600, 600]
    assert [said.split(":")[0] for said in told] == ["warning"] * 10 + ["restored"]
    assert told[0].endswith("tried again in 10 s at the earliest: RunError: no memory left")
    assert told[-1] == "restored: the Y-decoder gives words again, after 3030 s"
    decoder.errors.append(MemoryError())
    assert "in 10 s at the earliest: MemoryError" in wording.words(VECTOR)[1]  # it begins anew


def test_what_is_no_fault_of_the_decoder_is_raised() -> None:
    with pytest.raises(vj.InputError):
        Wording(Decoder(vj.InputError("a shape")), goes_on=True).words(VECTOR)
    with pytest.raises(vj.RunError):
        Wording(Decoder(vj.RunError("broken")), goes_on=False).words(VECTOR)


class Camera(vj.Source):
    """Five seconds of colours; in their middle it waits until somebody was asked for words of the first ones.

    Of a live stream the newest window replaces what waits, so how many there are would be the machine's to say.
    """

    def __init__(self, decoder: Decoder, *, live: bool = True) -> None:
        self.name, self.live, self._decoder = "door", live, decoder

    def frames(self, hints: vj.Hints = vj.EVERY_FRAME) -> Iterator[vj.Frame]:
        for index in range(40):
            patience_s = time.monotonic() + 20
            while index == 20 and not self._decoder.calls and time.monotonic() < patience_s:
                time.sleep(0.005)
            image = np.random.default_rng(index).integers(0, 256, (16, 24, 3), np.uint8)
            yield vj.Frame(image=image, time_s=index / 8, index=index)

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def broken(model: vj.Model, monkeypatch: pytest.MonkeyPatch) -> Decoder:
    """The model's decoder, which fails once."""
    decoder = Decoder(vj.RunError("no memory left"))
    monkeypatch.setattr("vljepa_runtime.wording.FIRST_S", 1e-9)
    monkeypatch.setattr(
        "vljepa_runtime.decoder.Decoder.text", lambda self, vector, max_tokens: decoder(vector)
    )
    return decoder


@pytest.mark.parametrize("grouped", [False, True])
def test_a_camera_goes_on(model: vj.Model, broken: Decoder, grouped: bool) -> None:
    session, windows = model.session(select="every"), []
    if grouped:
        with vj.SessionGroup() as group:
            group.add(Camera(broken), session)
            events = list(group.run())
        assert group.failures == {}
    else:
        events = list(session.run(Camera(broken), on_window=lambda *seen: windows.append(seen)))
        assert len(windows) == session.stats.windows
    said = [(event.kind, event.text[:8], event.decoded) for event in events[1:]]
    assert said[:2] == [("status", "warning:", False), ("segment", "", False)]
    assert said[2:4] == [("status", "restored", False), ("segment", "a ball f", True)]
    assert session.stats.decodings == sum(decoded for _, _, decoded in said) == len(said) - 3


@pytest.mark.parametrize(("live", "decode"), [(False, "auto"), (True, "always")])
def test_a_file_and_whoever_insists_on_words_are_told(
    model: vj.Model, broken: Decoder, live: bool, decode: str
) -> None:
    with (
        model.session(select="every", decode=decode) as session,
        pytest.raises(vj.RunError, match="no memory"),
    ):
        list(session.run(Camera(broken, live=live)))
