"""The package's public names are the ones it lists."""

from __future__ import annotations

import vljepa_model


def test_all_names_exist_and_are_sorted() -> None:
    assert sorted(vljepa_model.__all__, key=str.lower) == sorted(set(vljepa_model.__all__), key=str.lower)
    for name in vljepa_model.__all__:
        assert getattr(vljepa_model, name).__module__.startswith("vljepa_model.")
