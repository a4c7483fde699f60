"""A disk that is really full, and then is not: the log and the JSON lines wait for room and lose nothing."""

from __future__ import annotations

import importlib.util
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_log import LogError, LogWriter, Steps, folder_store, writer


def full_disk() -> Any:
    spec = importlib.util.spec_from_file_location("full_disk", Path(__file__).parents[1] / "full_disk.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_waits_for_room_is_written(tmp_path: Path) -> None:
    script = full_disk()
    found = script.outcome(tmp_path)
    if found is None:
        pytest.skip("no disk can be mounted here")
    assert sorted(found["told"]) == ["paused", "paused", "restored", "restored"]
    assert found["windows"] == list(range(script.COUNT))
    assert found["events"] == found["lines"] == [str(index) for index in range(script.COUNT)]
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_stays_full_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Any, contents: Any) -> None:
        tried.append(sum(len(batch) for batch in contents.batches))
        raise LogError("no room")

    tried: list[int] = []
    manifest = vj.Bundle.open("tiny").manifest
    monkeypatch.setattr(writer, "MOST_WAITING", 30)
    embedding = np.eye(manifest.embedding_dim, dtype=np.float32)[0]
    with LogWriter(tmp_path / "LOG", manifest, steps=Steps(windows=10, seconds=3600)) as log:
        with monkeypatch.context() as patch:
            patch.setattr(folder_store.FolderStore, "append", full)
            for index in range(200):
                with pytest.raises(LogError, match="no room") if index >= 9 else nullcontext():
                    log.add_window("door", "?", start_s=index, end_s=index + 1, embedding=embedding)
            assert tried == [10]  # not again before it is time
            assert log.trouble is not None
        log.flush()
        assert log.trouble is None
    with LogWriter(tmp_path / "LOG", manifest) as log:
        assert [(held.windows) for held in log.store.held()] == [30]
        (batch,) = log.store.windows()
    assert batch.windows["start_s"].tolist() == list(range(170, 200))
