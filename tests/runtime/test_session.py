"""One stream from source to events."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_runtime import heap
from vljepa_runtime.selection.protocol import Decision, Observation
from vljepa_runtime.sources.live.deadline import ConnectionLostError
from vljepa_runtime.sources.live.source import Backoff, Connection, LiveSource
from vljepa_runtime.sources.protocol import EVERY_FRAME, Frame, Hints, Item, Source, SourceStatus


class Reel(Source):
    """A source from memory: red, then blue, then green frames at 8 fps; may break or speak in between."""

    def __init__(
        self,
        seconds: float = 6.0,
        *,
        live: bool = False,
        extra: dict[int, BaseException | SourceStatus] | None = None,
    ) -> None:
        self.name, self.live, self.hints = "reel", live, EVERY_FRAME
        self.closed = 0
        self._count = round(seconds * 8)
        self._extra = extra or {}

    def frames(self, hints: Hints = EVERY_FRAME) -> Iterator[Item]:
        self.hints = hints
        noise = np.random.RandomState(0)
        for index in range(self._count):
            extra = self._extra.get(index)
            if isinstance(extra, BaseException):
                raise extra
            if extra is not None:
                yield extra
            image = noise.randint(0, 40, (16, 24, 3)).astype(np.uint8)
            image[..., 3 * index // self._count] += 200
            yield Frame(image=image, time_s=index / 8, index=index)

    def close(self) -> None:
        self.closed += 1


class Twos:
    """A policy that gives every second window and what remains at the end."""

    def start(self) -> TwosState:
        return TwosState()


class TwosState:
    def __init__(self) -> None:
        self.held: list[Observation] = []

    def push(self, observation: Observation) -> list[Decision]:
        self.held.append(observation)
        return self.finish() if len(self.held) == 2 else []

    def finish(self) -> list[Decision]:
        held, self.held = self.held, []
        if not held:
            return []
        last = held[-1]
        return [
            Decision(
                start_s=held[0].start_s,
                end_s=last.end_s,
                time_s=last.time_s,
                embedding=np.asarray(last.embedding, np.float32),
                score=0.5,
            )
        ]


def run(model: vj.Model, source: Reel, **options: object) -> tuple[list[vj.Event], vj.SessionStats]:
    with model.session(**options) as session:  # type: ignore[arg-type]
        events = list(session.run(source))
    return events, session.stats


def test_the_first_event_names_what_runs(model: vj.Model) -> None:
    events, _ = run(model, Reel(), select=vj.EveryWindow())
    assert (events[0].kind, events[0].stream) == ("status", "reel")
    for part in ("small", "onnxruntime:cpu", "reel"):
        assert part in events[0].text


def test_every_window_is_an_event_and_equals_the_model(model: vj.Model) -> None:
    events, stats = run(model, Reel(), select=vj.EveryWindow())
    segments = events[1:]
    assert {event.kind for event in segments} == {"segment"}
    assert len(segments) == stats.windows == stats.decodings == stats.decisions == 6
    assert all(event.decoded and event.query == model.prompts["caption"] for event in segments)
    assert [event.start_s for event in segments] == pytest.approx([0, 1, 2, 3, 4, 5])
    frames = [item.image for item in Reel() if isinstance(item, Frame)]
    expected = model.decode(model.embed(np.stack(frames[0:8:2])))
    assert segments[0].text == expected
    for event in segments:
        assert vj.Event.from_json(event.to_json()).text == event.text
        assert None not in (event.latency_ms.capture, event.latency_ms.encode, event.latency_ms.decode)


def test_labels_answer_when_the_best_one_changes_and_nothing_is_decoded(model: vj.Model) -> None:
    labels = ["red", "blue", "green"]
    events, stats = run(model, Reel(9.0), labels=labels, embeddings=True)
    answers = events[1:]
    assert answers
    assert {event.kind for event in answers} == {"answer"}
    assert (stats.windows, stats.decodings, stats.decisions) == (9, 0, len(answers))
    assert not any(event.decoded for event in answers)
    for event in answers:
        assert event.embedding is not None
        best = model.rank(np.float32(event.embedding), labels)[0]
        assert (event.text, event.score) == (best.label, pytest.approx(best.score, abs=1e-5))
        assert event.query == model.prompts.get("classify", model.prompts["caption"])


def test_labels_of_several_questions_and_none_of_them(model: vj.Model) -> None:
    events, _ = run(model, Reel(4.0), labels=["one", "two"], query=["How many?", "Which?"], min_score=1.0)
    assert [(event.query, event.text) for event in events[1:]] == [("How many?", ""), ("Which?", "")]


@pytest.mark.parametrize(
    "options",
    [
        {"labels": ["a"], "select": vj.EveryWindow()},
        {"labels": ["a"], "decode": "always"},
        {"min_score": 0.5},
    ],
    ids=["policy", "decode", "no-labels"],
)
def test_labels_leave_nothing_to_select_or_decode(model: vj.Model, options: dict[str, object]) -> None:
    with pytest.raises(vj.InputError, match="label"):
        model.session(**options)  # type: ignore[arg-type]


def test_selection_saves_decodings_and_flushes_at_the_end(model: vj.Model) -> None:
    events, stats = run(model, Reel(5.0), select=Twos())
    assert [(event.start_s, event.end_s) for event in events[1:]] == [(0, 2), (2, 4), (4, 5)]
    assert (stats.windows, stats.decodings) == (5, 3)
    assert stats.decodings_saved == pytest.approx(0.4)


def test_a_policy_may_be_named(model: vj.Model) -> None:
    named, given = (run(model, Reel(), select=select)[0] for select in ("uniform:2", vj.Uniform(2)))
    assert [(e.start_s, e.end_s, e.score) for e in named] == [(e.start_s, e.end_s, e.score) for e in given]
    with pytest.raises(vj.InputError, match="unknown selection policy 'onlin', did you mean 'online'"):
        model.session(select="onlin")
    with pytest.raises(vj.InputError, match=r"expected a selection policy or a text \(online \| "):
        model.session(select=2)  # type: ignore[arg-type]


def test_a_session_says_how_far_it_is(model: vj.Model) -> None:
    with model.session(select="every") as session:
        assert repr(session) == "<Session of small on onnxruntime:cpu: EveryWindow, 0 windows, 0 decodings>"
        list(session.run(Reel()))
    assert re.fullmatch(
        r"<Session of small on onnxruntime:cpu, reading reel: EveryWindow, \d windows, \d decodings>",
        repr(session),
    )


def test_each_query_has_its_own_state_and_the_window_is_encoded_once(model: vj.Model) -> None:
    queries = ["what is red ?", "what is there ?"]
    events, stats = run(model, Reel(4.0), query=queries, select=Twos())
    assert [event.query for event in events[1:]] == queries * 2
    assert stats.queries == 2
    assert stats.latency["encode"].count == 4
    assert stats.latency["predict"].count == 8


@pytest.mark.parametrize(("decode", "decoded"), [("auto", True), ("always", True), ("never", False)])
def test_decode_modes(model: vj.Model, decode: str, decoded: bool) -> None:
    events, stats = run(model, Reel(3.0), decode=decode, select=vj.EveryWindow())
    assert all(event.decoded == decoded for event in events[1:])
    assert stats.decodings == (3 if decoded else 0)
    assert decoded or all(event.text == "" and event.latency_ms.decode is None for event in events[1:])


@pytest.mark.parametrize(
    ("options", "told"),
    [({}, True), ({"decode": "never"}, False), ({"labels": ["a ball"]}, False)],
    ids=["auto", "never", "labels"],
)
def test_a_stream_without_words_says_why(wordless: vj.Model, options: dict[str, Any], told: bool) -> None:
    events, _ = run(wordless, Reel(3.0), **options)
    assert events[0].text.endswith("; it has no Y-decoder, so segments come without words") == told
    assert not any(event.decoded for event in events)


def test_a_stream_with_words_says_nothing_of_it(model: vj.Model) -> None:
    events, _ = run(model, Reel(3.0))
    assert "words" not in events[0].text


def test_never_does_not_load_the_decoder(small_zip: object, clip: np.ndarray) -> None:
    model = vj.load(small_zip, engine="onnxruntime:cpu")  # type: ignore[arg-type]
    run(model, Reel(2.0), decode="never", select=vj.EveryWindow())
    assert not model.decoder_loaded


def test_remarks_of_the_source_become_status_events(model: vj.Model) -> None:
    remark = SourceStatus(kind="reconnecting", message="no frame for 5 s")
    events, _ = run(model, Reel(live=True, extra={20: remark}), select=vj.EveryWindow())
    assert [event.text for event in events if event.kind == "status"][1:] == [
        "reconnecting: no frame for 5 s"
    ]


def run_until_it_raises(
    model: vj.Model, source: Reel, **options: object
) -> tuple[list[vj.Event], BaseException]:
    """All events before the exception, and the exception."""
    events: list[vj.Event] = []
    with model.session(**options) as session:  # type: ignore[arg-type]
        try:
            for event in session.run(source):
                events.append(event)
        except (vj.VljepaError, KeyboardInterrupt) as error:
            return events, error
    pytest.fail("expected an exception")


def test_a_break_gives_an_error_event_and_then_the_exception(model: vj.Model) -> None:
    source = Reel(extra={20: vj.SourceError("the cable is out")})
    events, error = run_until_it_raises(model, source, select=vj.EveryWindow())
    assert isinstance(error, vj.SourceError)
    assert [event.kind for event in events] == ["status", "segment", "segment", "error"]
    assert events[-1].text == "SourceError: the cable is out"
    assert source.closed


def test_ctrl_c_gives_what_is_pending_and_goes_on(model: vj.Model) -> None:
    source = Reel(extra={26: KeyboardInterrupt()})
    events, error = run_until_it_raises(model, source, select=Twos())
    assert isinstance(error, KeyboardInterrupt)
    assert [event.kind for event in events] == ["status", "segment", "segment"]
    assert events[-1].end_s > 3
    assert source.closed


def test_stop_ends_the_stream_early(model: vj.Model) -> None:
    source = Reel(60.0)
    with model.session(select=Twos()) as session:
        events = []
        for event in session.run(source):
            events.append(event)
            session.stop()
    assert len(events) == 1
    assert source.closed


def test_stop_needs_no_picture(model: vj.Model) -> None:
    def connect() -> Connection:
        raise ConnectionLostError("gone")

    source = LiveSource("cam", connect, backoff=Backoff(first_s=60, cap_s=60))
    with model.session(select=Twos()) as session:
        timer = threading.Timer(0.3, session.stop)
        timer.start()
        events = list(session.run(source))
        timer.join()
    assert [event.text.partition(":")[0] for event in events[1:]] == ["reconnecting"]


def test_leaving_the_loop_closes_the_source(model: vj.Model) -> None:
    source = Reel(60.0)
    with model.session(select=vj.EveryWindow()) as session:
        for event in session.run(source):
            if event.kind == "segment":
                break
    assert source.closed
    assert session.stats.windows == 1


def test_a_session_runs_once(model: vj.Model) -> None:
    with model.session(select=vj.EveryWindow()) as session:
        list(session.run(Reel(1.0)))
        with pytest.raises(vj.InputError, match="runs one stream"):
            session.run(Reel(1.0))


def test_a_session_opens_what_it_is_given_by_name(
    model: vj.Model, tmp_path: Path, lossless: ModuleType
) -> None:
    path = tmp_path / "clip.mkv"
    lossless.write_lossless(path, lossless.numbered(20), np.arange(20) / 7)
    expected, _ = run(model, vj.open_source(path), select=vj.EveryWindow())
    for given in (path, str(path)):
        with model.session(select=vj.EveryWindow()) as session:
            events = list(session.run(given))
        told = [(event.kind, event.stream, event.start_s, event.text) for event in events]
        assert told == [(event.kind, event.stream, event.start_s, event.text) for event in expected]
    with model.session() as session:
        with pytest.raises(vj.SourceError, match="no such file: missing"):
            session.run("missing.mp4")
        with pytest.raises(vj.InputError, match="expected a source as text, path or camera number, got list"):
            session.run([])  # type: ignore[arg-type]
        assert len(list(session.run(path))) > 0  # what failed to open was no run


def test_a_stream_shorter_than_a_window_still_gives_one(model: vj.Model) -> None:
    events, stats = run(model, Reel(0.25))
    assert stats.windows == 1
    assert [event.kind for event in events] == ["status", "segment"]


def test_a_source_is_asked_for_no_more_frames_than_needed(model: vj.Model) -> None:
    source = Reel(1.0)
    run(model, source)
    assert source.hints.min_interval_s == pytest.approx(0.25)


def test_two_sessions_share_a_model_and_no_state(model: vj.Model) -> None:
    one, two = model.session(select=Twos()), model.session(select=Twos())
    alone, _ = run(model, Reel(5.0), select=Twos())
    mixed: tuple[list[vj.Event], list[vj.Event]] = ([], [])
    for pair in zip(one.run(Reel(5.0)), two.run(Reel(5.0))):
        for events, event in zip(mixed, pair):
            events.append(event)
    for events in mixed:
        assert [(event.start_s, event.text) for event in events] == [(e.start_s, e.text) for e in alone]


@pytest.mark.parametrize("live", [False, True])
def test_stats_account_for_the_time(model: vj.Model, live: bool) -> None:
    _, stats = run(model, Reel(live=live))
    assert set(stats.latency) == {"capture", "fit", "encode", "predict", "select", "decode"}
    booked = sum(stage.total_ms for stage in stats.latency.values()) / 1000
    assert booked <= stats.busy_s * 1.001
    assert (stats.latency["capture"].total_ms == 0) == live
    assert 0 <= stats.overhead <= stats.overhead_with_capture <= 1
    assert 0 < stats.p50_ms <= stats.p95_ms <= stats.p99_ms
    for stage in stats.latency.values():
        assert stage.p50_ms <= stage.p95_ms


def test_stats_of_a_session_that_did_not_run(model: vj.Model) -> None:
    stats = model.session().stats
    assert (stats.windows, stats.decodings_saved, stats.overhead, stats.p50_ms) == (0, 0.0, 0.0, 0.0)


def test_other_queries_are_asked_from_the_next_window_on(model: vj.Model) -> None:
    seen: list[tuple[str, float]] = []
    told = []
    with model.session(query="what is red ?", select="every", decode="never") as session:
        events = session.run(Reel(6.0), on_window=lambda window, query, _: seen.append((query, window.end_s)))
        for event in events:
            if event.kind == "segment":
                told.append((event.query, event.end_s))
                if len(told) == 2:
                    session.ask(["what is there ?"], silent=["what is red ?"])
    red = [end_s for query, end_s in seen if query == "what is red ?"]
    there = [end_s for query, end_s in seen if query == "what is there ?"]
    assert len(red) > len(there) > 0
    assert set(there) <= set(red)
    assert [query for query, _ in told[:2]] == ["what is red ?"] * 2
    assert {query for query, _ in told[2:]} == {"what is there ?"}  # the other one is silent
    assert session.stats.queries == 2


def test_what_is_open_of_a_query_is_told_when_it_is_asked_no_more(model: vj.Model) -> None:
    told = []
    asked = ["what is red ?", "what is there ?"]
    with model.session(query=asked, select="uniform:100", decode="never") as session:
        for event in session.run(Reel(8.0), on_window=lambda *_: ask_once(session)):
            if event.kind == "segment":
                told.append(event.query)
    assert sorted(told) == ["what is red ?", "what is there ?"]


def ask_once(session: vj.Session) -> None:
    if len(session.queries) == 2 and session.stats.windows >= 3:
        session.ask(["what is there ?"])


@pytest.mark.parametrize("queries", [[], [" "], ["one", "one"]])
def test_what_cannot_be_asked_leaves_what_is_asked(model: vj.Model, queries: list[str]) -> None:
    with model.session(query="what is red ?") as session:
        with pytest.raises(vj.InputError):
            session.ask(queries)
        assert session.queries == ("what is red ?",)


def test_the_heap_is_trimmed_while_a_stream_goes_on(model: vj.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    told, trims = list[int](), list[int]()
    monkeypatch.setattr(heap, "EVERY", 2)
    monkeypatch.setattr(heap.trimmer, "_windows", 0)
    monkeypatch.setattr(heap.trimmer, "_trim", lambda: trims.append(len(told)))
    with model.session(decode="never") as session:
        for _ in session.run(Reel(), on_window=lambda window, query, embedding: told.append(window.index)):
            pass
    assert len(told) >= 4
    assert trims[:2] == [2, 4]
