"""Taught states: what is told of a window, which files are refused, and how a session tells them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_runtime.bundle import identity_of
from vljepa_runtime.errors import InputError
from vljepa_runtime.selection import BestState, Observation, run_policy
from vljepa_runtime.states import UNSURE

AXES = np.eye(4, dtype=np.float32)
NAMES = ("open", "shut", "ajar")  # the fourth direction is none of them


def taught(width: int = 4, **changes: Any) -> vj.States:
    """States along the axes; scores are ten times the cosine, so that half of a turn between two is even."""
    axes = np.eye(width)
    states = tuple(
        vj.TaughtState(
            name=name, examples=5, weights=tuple((10 * axis).tolist()), bias=0.0, mean=tuple(axis.tolist())
        )
        for name, axis in zip(NAMES, axes)
    )
    values: dict[str, Any] = {
        "identity": {"checkpoint": "abc", "embedding_dim": str(width)},
        "feature": "embedding",
        "query": "What happens?",
        "temperature": 1.0,
        "least_likeness": 0.5,
        "least_probability": 0.6,
        "states": states,
        "held_out": vj.HeldOut(accuracy=1.0, unsure=0.0, confusion=tuple((5, 0, 0, 0) for _ in NAMES)),
    }
    return vj.States(**{**values, **changes})


def test_probabilities_are_a_softmax_of_scores() -> None:
    draw = np.random.default_rng(0)
    states, rows = taught(least_likeness=-1.0, temperature=2.0), draw.normal(size=(50, 4))
    scores = 10 * rows[:, :3] / np.linalg.norm(rows, axis=1, keepdims=True) / 2.0
    expected = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    np.testing.assert_allclose(states.probabilities(rows), expected, rtol=1e-4)
    assert states.probability("shut", rows[7]) == pytest.approx(expected[7, 1], rel=1e-4)
    np.testing.assert_array_equal(states.probability("shut", rows), states.probabilities(rows)[:, 1])


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ([1, 0, 0, 0], "open"),
        ([0, 9, 0, 1], "shut"),  # of any length
        ([1, 1, 0, 0], UNSURE),  # between two
        ([0.2, 0, 0, 1], UNSURE),  # like none of the examples
        ([0, 0, 0, 0], UNSURE),
    ],
    ids=["one", "long", "between", "unlike", "nothing"],
)
def test_a_window_is_named_or_unsure(row: list[float], name: str) -> None:
    assert taught().name_of(row) == name


def test_what_is_like_nothing_has_no_probability() -> None:
    assert taught().probabilities([0.2, 0, 0, 1]).tolist() == [0, 0, 0]


def test_a_file_comes_back_as_it_was(tmp_path: Path) -> None:
    states = taught(query="Wer ist da? 門")
    states.save(tmp_path / "states.json")
    assert vj.States.read(tmp_path / "states.json") == states


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("v", 2, "version 1, got 2"),
        ("v", None, "version 1"),
        ("more", 1, "unknown keys more"),
        ("feature", "pixels", "embedding or tokens"),
        ("temperature", 0, "temperature"),
        ("temperature", 1e-300, "temperature"),
        ("least_probability", 2, "from 0 to 1"),
        ("least_likeness", -2, "from -1 to 1"),
        ("query", "", "text that is not empty"),
        ("states", [], "at least two states"),
        ("states.0.name", "shut", "each name once"),
        ("states.0.name", "unsure", "none of them unsure"),
        ("states.0.name", "a\u202eb", "control characters"),
        ("states.0.weights", [1.0], "of one length"),
        ("states.0.weights", [1e300, 0, 0, 0], "from -1e"),
        ("states.0.weights", ["1", 0, 0, 0], "finite number"),
        ("states.0.mean", [0.0] * 9000, "at most 8192 items"),
        ("held_out.confusion", [[1]], "3 rows of 4"),
    ],
)
def test_what_cannot_be_is_refused(path: str, value: object, message: str) -> None:
    document = json.loads(taught().to_json())
    *parents, last = path.split(".")
    place = document
    for step in parents:
        place = place[int(step)] if step.isdecimal() else place[step]
    place[last] = value
    with pytest.raises(InputError, match=message):
        vj.States.from_json(json.dumps(document))


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"\xff", b'{"v": 1', b'{"v": NaN}', b"[" * 100_000, b" " * (9 << 20)]
)
def test_what_is_no_such_file_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "states.json").write_bytes(data)
    with pytest.raises(InputError, match=r"states\.json: expected"):
        vj.States.read(tmp_path / "states.json")
    with pytest.raises(InputError, match="cannot read the states"):
        vj.States.read(tmp_path)


@pytest.mark.parametrize("row", [[1, 2], [[1, 2, 3]], "abcd"], ids=str)
def test_another_width_is_refused(row: Any) -> None:
    with pytest.raises(InputError):
        taught().probabilities(row)
    with pytest.raises(InputError, match="among open, shut, ajar"):
        taught().probability("closed", AXES[0])


def windows(rows: list[np.ndarray], tokens: list[np.ndarray] | None = None) -> list[Observation]:
    return [
        Observation(
            index=i,
            start_s=i / 2,
            end_s=i / 2 + 2,
            embedding=row,
            tokens=None if tokens is None else tokens[i],
        )
        for i, row in enumerate(rows)
    ]


def test_states_are_told_when_they_change_and_unsure_is_one() -> None:
    between = (AXES[0] + AXES[1]) / 2
    seen = windows([AXES[n] for n in (0, 0, 1, 1, 0, 1)] + [between] * 3 + [AXES[3]] * 2 + [AXES[2]] * 2)
    told = run_policy(BestState(states=taught()), seen)
    assert [(each.text, each.start_s) for each in told] == [
        ("open", 0),
        ("shut", 2),
        (UNSURE, 4),
        ("ajar", 6.5),
    ]
    assert [round(each.score, 1) for each in told] == [1, 1, 0.5, 1]


def test_tokens_are_looked_at_where_they_were_taught() -> None:
    policy = BestState(states=taught(feature="tokens"))
    (told,) = run_policy(policy, windows([AXES[0]], [AXES[1]]))
    assert told.text == "shut"
    np.testing.assert_array_equal(told.embedding, AXES[0])
    with pytest.raises(InputError, match="pooled tokens"):
        list(run_policy(policy, windows([AXES[0]])))


def own(model: vj.Model, feature: str) -> vj.States:
    """States of the model of these tests."""
    width = (
        model.embedding_dim
        if feature == "embedding"
        else model.encode(np.zeros((4, 8, 8, 3), np.uint8)).shape[1]
    )
    return taught(width, feature=feature, identity=identity_of(model.bundle.manifest), least_likeness=-1.0)


@pytest.mark.parametrize("feature", ["embedding", "tokens"])
def test_a_session_tells_what_the_classifier_says_of_each_window(
    model: vj.Model, clip: np.ndarray, tmp_path: Path, feature: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cv2

    for index, image in enumerate(np.concatenate([clip] * 3)):
        cv2.imwrite(str(tmp_path / f"{index:03}.png"), image)
    states, encoded = own(model, feature), []
    states.save(tmp_path / "states.json")
    plain = model.encode_on_device
    monkeypatch.setattr(model, "encode_on_device", lambda *given: (encoded.append(1), plain(*given))[1])
    seen: list[vj.Window] = []
    with model.session(states=tmp_path / "states.json") as session:
        told = list(session.run(tmp_path, on_window=lambda window, query, row: seen.append(window)))
    assert len(encoded) == len(seen) > 1  # each once, whatever is looked at
    visual = model.encode(seen[0].clip)
    row = vj.pool_tokens(visual) if feature == "tokens" else model.predict(visual, states.query)
    assert told[1].kind == "answer"
    assert told[1].query == "What happens?"
    assert told[1].text == states.name_of(row)
    assert told[1].score == pytest.approx(float(states.probabilities(row).max()), abs=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ["a", "b"]}, "leave out labels"),
        ({"select": "every"}, "leave out select"),
        ({"query": "What?"}, "leave out query"),
        ({"min_score": 0.5}, "leave out min_score"),
        ({"decode": "always"}, "leave out decode"),
        ({"tokens": "budget:4"}, "leave out tokens"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_does_not_go_with_states_is_refused(
    model: vj.Model, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        model.session(states=own(model, "tokens"), **options)


def test_states_of_another_model_are_refused(model: vj.Model) -> None:
    other = replace(
        own(model, "embedding"), identity={**identity_of(model.bundle.manifest), "checkpoint": "b"}
    )
    with pytest.raises(InputError, match=r"another model \(its checkpoint differ"):
        model.session(states=other)
