"""One server for all tests of what was kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from past_log import Past, write_door, write_gate
from past_work import windows
from serving import camera_toml, running

import vljepa_runtime as vj
from vljepa_log import Where


@pytest.fixture(scope="session")
def past(model: vj.Model, recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    folder = tmp_path_factory.mktemp("past")
    write_door(folder, model, recording)
    began = (int(time.time()) - 2000) // 300 * 300 + 40.5  # at one place in bins of 300 s, whenever it runs
    if date.fromtimestamp(began) != date.fromtimestamp(began + 400):
        began -= 500  # all of it on one day
    rows = write_gate(folder, model, began).astype(np.float16).astype(np.float32)
    text = camera_toml("door", recording, on=False) + camera_toml("gate", recording, on=False)
    with running(model, folder, text) as server:
        server.service.process.run(
            windows
        )  # it has begun before anybody waits for an answer with a time limit
        (door,) = server.service.log.store.held(Where(streams=("door",)))
        yield Past(server, began, rows, began + np.arange(len(rows)) + 2.0, door.first - 2.0)
