"""Tables of what is written as `name` or `name:NUMBER`, and what they say of a text that names nothing."""

from __future__ import annotations

from typing import Any

import pytest

from vljepa_runtime.errors import InputError
from vljepa_runtime.forms import Form, FormTable
from vljepa_runtime.preprocessing.token_policies import TOKEN_FORMS, parse_tokens
from vljepa_runtime.selection.policies import POLICIES, parse_policy

TABLE: FormTable[Any] = FormTable(
    "bundle thing",
    (
        Form("plain", "selection.uniform:EveryWindow"),
        Form("part", "selection.uniform:Uniform", number="SECONDS", argument="interval_s"),
        Form("whole", "selection.ward:OfflineWard"),
        Form("whole", "selection.ward:OfflineWard", number="N", argument="segments", kind=int),
    ),
    method="start",
)


def test_how_the_forms_are_shown() -> None:
    assert str(TABLE) == "plain | part:SECONDS | whole | whole:N"
    assert TABLE.help == "plain (default), part:SECONDS, whole, whole:N"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("Plian ", "unknown bundle thing 'Plian ', did you mean 'plain'? Expected plain | part"),
        ("", "unknown bundle thing '' Expected plain"),
        (":3", "unknown bundle thing ':3'"),
        ("plain:3", "'plain' takes no number, got 'plain:3': expected plain"),
        ("plain:", "'plain' takes no number"),
        ("part", "'part' needs a number after ':', got 'part': expected plain"),
        ("part:", "expected a number after ':', got 'part:'"),
        ("part:two", "expected a number after ':'"),
        ("whole:2.5", "expected a whole number after ':'"),
        ("whole:1:2", "expected a whole number after ':'"),
        ("part:-1", "interval: expected a finite number above 0"),
        (7, "a bundle thing or a text (plain | "),
        (None, "a bundle thing or a text (plain | "),
    ],
)
def test_what_names_nothing_is_refused(spec: Any, message: str) -> None:
    with pytest.raises(InputError) as told:
        TABLE.resolve(spec)
    assert message in str(told.value)


def test_what_is_given_stays() -> None:
    given = TABLE.read(" PART:2 ")
    assert given.interval_s == 2
    assert TABLE.resolve(given) is given


@pytest.mark.parametrize("spec", [7, None, b"plain"])
def test_only_a_text_is_read(spec: Any) -> None:
    with pytest.raises(InputError, match="expected a bundle thing as text"):
        TABLE.read(spec)


@pytest.mark.parametrize(("forms", "parse"), [(POLICIES, parse_policy), (TOKEN_FORMS, parse_tokens)])
def test_every_form_of_a_table_is_read(forms: tuple[Form, ...], parse: Any) -> None:
    for form in forms:
        made = parse(f"{form.name}:3" if form.number else form.name)
        assert type(made).__name__ == form.opens.partition(":")[2]
        assert not form.number or getattr(made, form.argument) == 3
