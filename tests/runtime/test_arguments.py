"""Odd arguments of the public functions are refused with `InputError`; labels go by position."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_runtime.arguments import array, number, text, texts, whole
from vljepa_runtime.sources import EVERY_FRAME, Hints, Source

RED, BLUE, GREEN = "a red ring jumps", "a blue box falls", "a green star turns"


class Series:
    """What a pandas Series does: `[]` goes by index label, iteration by position."""

    def __init__(self, index: list[int], values: list[Any]) -> None:
        self.index, self.values = index, values

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)

    def __getitem__(self, key: int) -> Any:
        return self.values[self.index.index(key)]


class Backwards(list[str]):
    """A list that iterates otherwise than it indexes."""

    def __iter__(self) -> Iterator[str]:
        return iter(list(reversed([self[i] for i in range(len(self))])))


class Arrow:
    """What pyarrow's arrays do: the items are scalars of their own."""

    def __init__(self, values: list[str | None]) -> None:
        self.held = values

    def __iter__(self) -> Iterator[object]:
        return (object() for _ in self.held)

    def to_pylist(self) -> list[str | None]:
        return self.held


class Label(str, enum.Enum):
    RED = RED
    BLUE = BLUE


ORDERED: list[tuple[str, Callable[[], Any], tuple[str, ...]]] = [
    ("list", lambda: [RED, BLUE], (RED, BLUE)),
    ("tuple", lambda: (RED, BLUE), (RED, BLUE)),
    ("repeated", lambda: [RED, RED, BLUE], (RED, RED, BLUE)),
    ("series", lambda: Series([2, 0, 1], [RED, BLUE, GREEN]), (RED, BLUE, GREEN)),
    ("series without 0", lambda: Series([7, 5], [RED, BLUE]), (RED, BLUE)),
    ("backwards", lambda: Backwards([RED, BLUE]), (BLUE, RED)),
    ("arrow", lambda: Arrow([RED, BLUE]), (RED, BLUE)),
    ("numpy texts", lambda: np.array([RED, BLUE]), (RED, BLUE)),
    ("numpy objects", lambda: np.array([RED, BLUE], object), (RED, BLUE)),
    ("generator", lambda: (each for each in (RED, BLUE)), (RED, BLUE)),
    ("map", lambda: map(str.strip, [f" {RED}", BLUE]), (RED, BLUE)),
    ("keys", lambda: {RED: 0, BLUE: 1}.keys(), (RED, BLUE)),
    ("values", lambda: {0: RED, 1: BLUE}.values(), (RED, BLUE)),
    ("enum", lambda: Label, (RED, BLUE)),
    ("numpy text", lambda: [np.str_(RED)], (RED,)),
]


@pytest.mark.parametrize(("make", "expected"), [(m, e) for _, m, e in ORDERED], ids=[n for n, *_ in ORDERED])
def test_texts_go_by_position(make: Callable[[], Any], expected: tuple[str, ...], model: vj.Model) -> None:
    found = texts(make())
    assert found == expected
    assert {type(each) for each in found} == {str}
    rows = model.embed_text(make())
    assert np.array_equal(rows, model.embed_text(list(expected)))
    ranked = model.rank(rows[0], make())
    assert [(each.label, each.score) for each in ranked] == [
        (each.label, each.score) for each in model.rank(rows[0], list(expected))
    ]
    assert ranked[0].label == expected[0]


NOT_TEXTS: list[tuple[Any, str]] = [
    (RED, "expected a list of .*: write"),
    (b"red", "expected a list of .*, got bytes"),
    (None, "got NoneType"),
    (5, "got int"),
    ([], "got an empty list"),
    ((), "got an empty tuple"),
    (iter(()), "got an empty"),
    ({RED, BLUE}, "no order"),
    (frozenset({RED}), "no order"),
    ({RED: 0}, "got dict"),
    (np.array([[RED]]), "of 2 dimensions"),
    (np.array(RED), "of 0 dimensions"),
    ([RED, None], r"\[1\]: expected text, got None of type NoneType"),
    ([RED, b"blue"], r"\[1\]: expected text, got b'blue' of type bytes"),
    ([RED, BLUE, 3], r"\[2\]: expected text, got 3 of type int"),
    ([float("nan"), RED], r"\[0\]: expected text, got nan"),
    ([[RED]], r"\[0\]: expected text"),
    ([RED, " \n"], r"\[1\]: expected a text with at least one word"),
    ([""], r"\[0\]: expected a text with at least one word"),
    (["caf\udce9"], r"\[0\]: expected Unicode text"),
    (Arrow([RED, None]), r"\[1\]: expected text, got None"),
    (Series([1, 0], [RED, 2]), r"\[1\]: expected text, got 2"),
    (np.array([1, 2]), r"\[0\]: expected text"),
]


@pytest.mark.parametrize(("values", "message"), NOT_TEXTS, ids=map(str, range(len(NOT_TEXTS))))
def test_what_is_no_list_of_texts(values: Any, message: str, model: vj.Model, clip: np.ndarray) -> None:
    embedding = np.ones(model.embedding_dim, np.float32)
    calls: list[Callable[[], object]] = [
        lambda: model.embed_text(values),
        lambda: model.rank(embedding, values),
        lambda: model.classify(clip, values),
        lambda: model.answer(clip, "What?", values),
    ]
    if values is not None and not isinstance(values, str):
        calls.append(lambda: model.session(query=values))
    for call in calls:
        with pytest.raises(vj.InputError, match=message):
            call()


NAN, INF, HUGE = float("nan"), float("inf"), 10**400
ODD: list[Any] = [
    *(
        None,
        True,
        False,
        "3",
        "",
        b"3",
        NAN,
        INF,
        -INF,
        -1,
        0,
        1.5,
        HUGE,
        -HUGE,
        1 + 2j,
        [],
        [1],
        {},
        (),
        object(),
    ),
    *(
        np.True_,
        np.array([1, 2]),
        np.array(1.0),
        np.float32("nan"),
        np.int64(-1),
        np.datetime64("2020-01-01"),
    ),
]


WHOLE = [
    "decode.max_tokens",
    "load.threads",
    "open_engine.threads",
    "OfflineWard",
    "OfflineSelection",
]
WHOLE += ["Hints.short_side", "online.smooth", "online.burst"]
POSITIVE = ["session.stride_s", "open_source.fps", "open_source.timeout_s", "Uniform"]
POSITIVE += ["OfflineWard.per_minute", "OfflineSelection.per_minute"]
POSITIVE += ["Hints.min_interval_s", "SalientTokens", "StaticTokens"]
FROM_ZERO = ["session.carry_s"]
TUNED = [
    "threshold",
    "hysteresis",
    "agree",
    "agree_clear",
    "max_delay_s",
    "min_gap_s",
    "max_age_s",
    "per_minute",
]
NONE_MEANS = [
    *WHOLE[:3],
    "Hints.short_side",
    "open_source.fps",
    "open_source.timeout_s",
    "Hints.min_interval_s",
]
NONE_MEANS += ["OfflineSelection", "OfflineSelection.per_minute"]
NONE_MEANS += ["online.max_age_s", "online.per_minute", "online.threshold"]


def options(model: vj.Model, clip: np.ndarray, file: Path) -> dict[str, Callable[[Any], object]]:
    """Every option of the public functions and classes that is a number, as a call with its value."""
    z = np.ones(model.embedding_dim, np.float32)
    named: dict[str, Callable[[Any], object]] = {
        "decode.max_tokens": lambda v: model.decode(z, max_tokens=v),
        "SalientTokens": vj.SalientTokens,
        "StaticTokens": vj.StaticTokens,
        "session.carry_s": lambda v: model.session(carry_s=v),
        "load.threads": lambda v: vj.load(file, threads=v),
        "open_engine.threads": lambda v: vj.open_engine(threads=v),
        "OfflineWard": vj.OfflineWard,
        "OfflineSelection": vj.OfflineSelection,
        "Hints.short_side": lambda v: Hints(short_side=v),
        "session.stride_s": lambda v: model.session(stride_s=v),
        "open_source.fps": lambda v: vj.open_source(file, fps=v),
        "open_source.timeout_s": lambda v: vj.open_source(file, timeout_s=v),
        "Uniform": vj.Uniform,
        "OfflineWard.per_minute": lambda v: vj.OfflineWard(per_minute=v),
        "OfflineSelection.per_minute": lambda v: vj.OfflineSelection(per_minute=v),
        "Hints.min_interval_s": lambda v: Hints(min_interval_s=v),
    }
    online = {f"online.{name}": partial(online_with, name) for name in [*TUNED, "smooth", "burst"]}
    return named | online


def online_with(name: str, value: Any) -> vj.OnlineSelection:
    return vj.OnlineSelection(**{name: value})


def is_legal(name: str, value: Any) -> bool:
    """Plain numbers in the range of any option; each class has tests of its own for its bounds."""
    if value is None:
        return name in NONE_MEANS
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer):
        return False
    if name in WHOLE:
        return not isinstance(value, float) and 1 <= value < 2**31
    if name in FROM_ZERO:
        return 0 <= value < 1e300
    return value == 0 if name.startswith("online") and value < 1 else 0 < value < 1e300


def taken(calls: dict[str, Callable[[], object]]) -> list[str]:
    """The calls that did not raise an InputError."""
    names = []
    for name, call in calls.items():
        try:
            call()
        except vj.InputError:
            continue
        except Exception as error:
            name = f"{name}: {type(error).__name__}: {error}"
        names.append(name)
    return names


def label(value: object) -> str:
    return f"{type(value).__name__}-{ascii(value)[:12]}"


@pytest.mark.parametrize("value", ODD, ids=label)
def test_numbers(value: Any, model: vj.Model, clip: np.ndarray, small_zip: Path) -> None:
    calls = options(model, clip, small_zip)
    assert set(calls) == {*WHOLE, *POSITIVE, *FROM_ZERO, *(f"online.{name}" for name in TUNED)}
    assert not taken(
        {name: partial(call, value) for name, call in calls.items() if not is_legal(name, value)}
    )


ODD_TEXT: list[Any] = [5, True, b"x", NAN, [], ["x"], {}, object(), np.array(["a", "b"]), np.array(1)]


@pytest.mark.parametrize("value", ODD_TEXT, ids=label)
def test_names_and_texts(
    value: Any, model: vj.Model, clip: np.ndarray, small_zip: Path, tmp_path: Path
) -> None:
    visual = model.encode(clip)
    refused: dict[str, Callable[[], object]] = {
        "load": lambda: vj.load(value),
        "load.engine": lambda: vj.load(small_zip, engine=value),
        "Bundle.open": lambda: vj.Bundle.open(value),
        "open_engine": lambda: vj.open_engine(value),
        "open_engine.target": lambda: vj.open_engine(target=value),
        "parse_policy": lambda: vj.parse_policy(value),
        "predict": lambda: model.predict(visual, value),
        "embed": lambda: model.embed(clip, value),
        "classify": lambda: model.classify(clip, [RED], query=value),
        "answer": lambda: model.answer(clip, value, [RED]),
        "session.decode": lambda: model.session(decode=value),
        "session.select": lambda: model.session(select=value),
        "Session": lambda: vj.Session(value),
        "Model": lambda: vj.Model(value, value),
        "Uniform": lambda: vj.Uniform(1.0, pooling=value),
        "OfflineWard": lambda: vj.OfflineWard(3, pooling=value),
        "session.on_frame": lambda: model.session().run(Numbers(), on_frame=value),
        "decode": lambda: model.decode(value),
        "rank": lambda: model.rank(value, [RED]),
        "patches": lambda: model.patches(value),
        "encode": lambda: model.encode(value),
        "encode_patches": lambda: model.encode_patches(value, value),
        "predict.visual": lambda: model.predict(value),
        "Event.kind": lambda: vj.Event(stream="x", kind=value),
    }
    manifest, pre = model.bundle.manifest, model.preprocess
    refused |= {
        "Event.from_json": lambda: vj.Event.from_json(value),
        "Bundle.read": lambda: model.bundle.read(value),
        "Bundle.graph": lambda: model.bundle.graph(value),
        "Bundle.in_memory": lambda: vj.Bundle.in_memory(value, {}),
        "write_bundle": lambda: vj.write_bundle(value, manifest, {}),
        "write_bundle.manifest": lambda: vj.write_bundle(tmp_path / "b", value, {}),
        "write_bundle.content": lambda: vj.write_bundle(tmp_path / "b", manifest, {"a": [value]}),  # type: ignore[dict-item]
        "Clip": lambda: vj.Clip(value, pre),
        "Clip.preprocess": lambda: vj.Clip(clip, value),
        "Clip.of": lambda: vj.Clip.of(value, pre),
        "Frame": lambda: vj.Frame(image=value, time_s=0.0, index=0),
        "Preprocess.resize": lambda: vj.Preprocess(resize=value),
    }
    if not isinstance(value, dict):
        refused["Preprocess.from_dict"] = lambda: vj.Preprocess.from_dict(value)
        refused["write_bundle.files"] = lambda: vj.write_bundle(tmp_path / "b", manifest, value)
    if not isinstance(value, int):  # a camera's number
        refused["open_source"] = lambda: vj.open_source(value)
        refused["session.run"] = lambda: model.session().run(value)
    assert not taken(refused)


@pytest.mark.parametrize(
    "frames",
    [
        None,
        [[1, 2], [3]],
        [],
        [None],
        np.zeros((2, 3), np.uint8),
        object(),
        np.zeros((1, 8, 8, 3), complex),
    ],
    ids=lambda frames: ascii(frames).partition(" object at ")[
        0
    ],  # an address would give each process other names
)
def test_frames(frames: Any, model: vj.Model) -> None:
    for call in (model.patches, model.encode, model.embed, lambda frames: model.classify(frames, [RED])):
        with pytest.raises(vj.InputError, match="frames"):
            call(frames)


IMAGE = np.zeros((4, 6, 3), np.uint8)
BAD_FRAMES: list[tuple[dict[str, Any], str]] = [
    ({"image": IMAGE[..., 0]}, r"image \(H, W, 3\) uint8 RGB, got \(4, 6\)"),
    ({"image": IMAGE.astype(np.float32)}, "got .* float32"),
    ({"image": np.zeros((4, 6, 4), np.uint8)}, r"got \(4, 6, 4\)"),
    ({"image": IMAGE[:0]}, r"got \(0, 6, 3\)"),
    ({"image": IMAGE.tolist()}, "expected ndarray"),
    ({"time_s": NAN}, "the time of a frame"),
    ({"time_s": "0"}, "the time of a frame"),
    ({"duration_s": -0.1}, "how long a frame is on show"),
]


@pytest.mark.parametrize(("change", "message"), BAD_FRAMES, ids=lambda value: str(value)[:30])
def test_frames_of_a_source_of_ones_own(change: dict[str, Any], message: str) -> None:
    with pytest.raises(vj.InputError, match=message):
        vj.Frame(**{"image": IMAGE, "time_s": 0.0, "index": 0, **change})


class Numbers(Source):
    name = "numbers"

    def frames(self, hints: Hints = EVERY_FRAME) -> Iterator[Any]:
        return iter([1, 2])

    def close(self) -> None: ...


def test_items_of_a_source_of_ones_own(model: vj.Model) -> None:
    with model.session() as session, pytest.raises(vj.InputError, match="an item of numbers: expected Frame"):
        list(session.run(Numbers()))


def test_plain_values_come_through() -> None:
    assert number(np.float32(0.5), "x") == 0.5
    assert number(3, "x", least=3, most=3) == 3.0
    assert whole(np.uint8(3), "x") == 3
    assert text(np.str_(" a "), "x") == " a "
    assert array([[1, 2]], "x").shape == (1, 2)
    assert array([1], "x", np.float32).dtype == np.float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: number(1, "stride_s", above=1), "stride_s: expected a finite number above 1, got 1"),
        (lambda: number(9, "x", least=0, most=5), "of at least 0 and at most 5, got 9"),
        (lambda: whole(2.0, "keep"), "keep: expected a whole number, got 2.0 of type float"),
        (lambda: whole(-1, "keep"), "keep: expected a whole number of at least 0, got -1"),
    ],
)
def test_messages(call: Callable[[], object], message: str) -> None:
    with pytest.raises(vj.InputError, match=message):
        call()
