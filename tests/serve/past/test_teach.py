"""Own states by marking moments: told apart on what was not shown, kept, found again, and forgotten."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from past_log import MEANINGS, Past

import vljepa_runtime as vj

EXAMPLES = {
    "empty": [(70, 75), (90, 95), (120, 125)],  # of meaning 1, which is shown again from 180 to 300
    "full": [(302, 308), (320, 325), (340, 345)],  # of meaning 3
}


def lesson(past: Past, **more: Any) -> dict[str, Any]:
    states = {name: [past.moment(*part) for part in parts] for name, parts in EXAMPLES.items()}
    return {"name": "Gate", "states": states, **more}


def test_six_moments_tell_two_states_apart_on_what_was_not_shown(past: Past) -> None:
    service = past.server.service
    answer = past.server.client.post("/api/teach", json=lesson(past, keep=True, cameras=["gate"]))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["correct"], found["wrong"], found["all"], found["ready"]) == (
        6 - found["unsure"],
        0,
        6,
        True,
    )
    assert [each["moment"] for each in found["examples"]] == [
        past.moment(*part) for parts in EXAMPLES.values() for part in parts
    ]
    counts = {name: sum(row.values()) for name, row in found["confusion"].items()}
    assert counts == {"empty": 3, "full": 3}

    states = vj.States.read(service.folder / "states" / "gate.json")
    told = [states.name_of(row) for row in past.rows[200:290]]
    assert "full" not in told
    assert told.count("empty") > 60
    assert states.name_of(MEANINGS[9]) == "unsure"

    (kept,) = past.server.get("/api/teach")
    assert (kept["id"], kept["name"], kept["cameras"], kept["states"]) == (
        "gate",
        "Gate",
        ["gate"],
        ["empty", "full"],
    )
    again = past.server.client.post("/api/teach", json=lesson(past, keep=True)).json()
    assert again["id"] == "gate"
    assert [each.id for each in service.config.states] == ["gate"]

    assert past.server.client.delete("/api/teach/gate").status_code == 204
    assert past.server.get("/api/teach") == []
    assert not (service.folder / "states" / "gate.json").exists()


def test_what_is_not_kept_changes_nothing(past: Past) -> None:
    found = past.server.client.post("/api/teach", json=lesson(past)).json()
    assert found["id"] is None
    assert past.server.get("/api/teach") == []


def test_examples_that_are_wrong_are_said(past: Past) -> None:
    wrong = lesson(past)
    wrong["states"]["full"].append(past.moment(200, 205))  # shows what the other one does
    found = past.server.client.post("/api/teach", json=wrong).json()
    assert found["examples"][-1]["guess"] == "empty"
    assert found["sentence"].endswith((".", "?"))


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"states": {}}, 422),
        ({"states": {"one": ["gate@1000-2000"]}}, 404),
        ({"states": {"one": ["../../x"]}}, 404),
        ({"states": {"one": []}}, 422),
        ({"name": ""}, 422),
        ({"query": "Who is there?"}, 404),
        ({"keep": "perhaps"}, 422),
        ({"more": 1}, 422),
        ({"keep": True, "cameras": ["nobody"]}, 422),
    ],
    ids=str,
)
def test_what_cannot_be_taught_is_refused_with_a_sentence(
    past: Past, change: dict[str, Any], status: int
) -> None:
    answer = past.server.client.post("/api/teach", json={**lesson(past), **change})
    assert answer.status_code == status, answer.text
    assert answer.json()["sentence"]
    assert past.server.service.config.states == ()


def test_one_state_alone_is_refused(past: Past) -> None:
    alone = {**lesson(past), "states": {"empty": lesson(past)["states"]["empty"]}}
    answer = past.server.client.post("/api/teach", json=alone)
    assert answer.status_code == 422
    assert "two states" in answer.json()["sentence"]
    assert past.server.client.delete("/api/teach/nothing").status_code == 404
    assert np.isfinite(past.rows).all()
