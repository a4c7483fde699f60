"""A real Mosquitto, and who listens to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def broker(mqtt_broker: ModuleType, tmp_path: Path) -> Iterator[Any]:
    """One that runs and lets anybody in."""
    with mqtt_broker.Broker(tmp_path / "broker") as found:
        found.start()
        yield found


@pytest.fixture
def subscriber(mqtt_broker: ModuleType, broker: Any) -> Iterator[Any]:
    """Who gets everything, also what came while the broker was down."""
    found = mqtt_broker.Subscriber(broker)
    yield found
    found.close()
