"""What a library reaches in products of matrices, and what is too slow to be asked for a large one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from vljepa_apps.measure.peers import ceilings
from vljepa_apps.measure.peers.ceilings import SIZES, measure_ceilings


def test_a_library_that_is_too_slow_multiplies_small_matrices_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, set[tuple[int, int, int]]] = {"fast": set(), "slow": set(), "broken": set()}

    def offered(size: tuple[int, int, int]) -> Iterator[tuple[str, str, Callable[[], object]]]:
        def product(library: str, seconds: float) -> None:
            asked[library].add(size)
            time.sleep(seconds)
            if library == "broken":
                raise RuntimeError("no kernel")

        yield "fp32", "fast", lambda: product("fast", 0.001)
        yield "bf16", "slow", lambda: product("slow", 0.1)
        yield "int8", "broken", lambda: product("broken", 0)

    monkeypatch.setattr(ceilings, "_on_cpu", offered)
    found = {each.library: each for each in measure_ceilings()}
    assert asked["fast"] > set(SIZES["cpu"])
    assert asked["slow"] == asked["fast"] - set(SIZES["cpu"])
    assert set(found) == {"fast", "slow"}
    assert 1 < found["slow"].gops < 2.7  # 0.27 x 10^9 operations in a tenth of a second or a little more
    assert (found["slow"].kind, found["slow"].device) == ("bf16", "cpu")
