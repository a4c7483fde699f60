"""The package's public names are the ones it lists."""

from __future__ import annotations

from types import ModuleType

import vljepa_model


def test_what_can_be_imported_from_the_package_is_what_it_lists() -> None:
    names = {
        name
        for name, value in vars(vljepa_model).items()
        if not name.startswith("_") and name != "annotations" and not isinstance(value, ModuleType)
    }
    assert names == set(vljepa_model.__all__)
    assert len(vljepa_model.__all__) == len(names)
