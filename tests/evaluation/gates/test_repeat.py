"""What the graphs gave at export is given again to the bit, or nearly so elsewhere; a fault far below a gate shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vljepa_evaluation.gates import Judgement, Reference, Repeat, Verdict, judge_repeat, record_repeat
from vljepa_evaluation.gates.repeat import Spread
from vljepa_evaluation.gates.sketches import row_distances, sketch
from vljepa_runtime.bundle import Bundle
from vljepa_runtime.contract import STEP, TOKEN, TensorSpec
from vljepa_runtime.engines import Engine, Graph, open_engine
from vljepa_runtime.errors import BundleError, RunError

Array = npt.NDArray[Any]


@pytest.fixture(scope="module")
def tiny() -> Bundle:
    return Bundle.open("tiny")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return open_engine("onnxruntime:cpu", threads=1)


@pytest.fixture(scope="module")
def recorded(tiny: Bundle, engine: Engine) -> Repeat:
    other = open_engine("onnxruntime:cpu", threads=2)
    return record_repeat(tiny, engine, Reference.of(tiny).samples, ways=[(tiny, other)])


class Nudged:
    """An engine whose results are off by a share of themselves, in one graph and from one row on."""

    def __init__(self, engine: Engine, graph: str, share: float, *, row: int = 0) -> None:
        self.name, self._engine, self._graph = engine.name, engine, graph
        self.share, self.row = share, row

    @property
    def detail(self) -> str:
        return str(getattr(self._engine, "detail"))  # noqa: B009  (the protocol need not have it)

    def load(self, bundle: Bundle, graph_name: str) -> Graph:
        graph = self._engine.load(bundle, graph_name)
        return _Off(graph, self) if graph_name == self._graph else graph


class _Off:
    def __init__(self, graph: Graph, how: Nudged) -> None:
        self.name, self._graph, self._how = graph.name, graph, how
        self.inputs: tuple[TensorSpec, ...] = graph.inputs
        self.outputs: tuple[TensorSpec, ...] = graph.outputs

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        results = self._graph.run(feeds)
        name = self.outputs[0].name
        results[name] = results[name].copy()
        results[name][self._how.row :] *= np.float32(1 + self._how.share)
        return results


def elsewhere(recorded: Repeat, **spread: float) -> Repeat:
    """The same record, of another machine."""
    environment = replace(recorded.environment, cpu="another")
    return replace(
        recorded, environment=environment, spreads={name: Spread(**spread) for name in recorded.spreads}
    )


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads_gives_the_same_bits(threads: int, tiny: Bundle, recorded: Repeat) -> None:
    assert all(spread == Spread(exact=True) for spread in recorded.spreads.values())
    judged = judge_repeat(tiny, open_engine("onnxruntime:cpu", threads=threads), recorded)
    assert judged == Judgement(name="repeat")


def test_all_words_are_asked_and_the_cache_grows_to_its_longest(tiny: Bundle, recorded: Repeat) -> None:
    words = set(range(tiny.tokenizer_for("predictor").vocab_size))
    for graph, name in (("predictor", "query_ids"), ("y_encoder", "ids"), (STEP, TOKEN)):
        assert set(recorded.probes[graph][-1].feeds[name].ravel().tolist()) == words
    assert len(recorded.probes[STEP][-1].answer.digests) == 48


@pytest.mark.parametrize("graph", ["x_encoder", "predictor", "y_encoder", "y_decoder_prefill", STEP])
def test_the_last_bit_shows_where_the_record_was_made(
    graph: str, tiny: Bundle, engine: Engine, recorded: Repeat
) -> None:
    judged = judge_repeat(tiny, Nudged(engine, graph, 2e-7), recorded)
    assert judged.verdict is Verdict.MISSED
    assert all(miss.startswith(f"{graph}: expected the very bits") for miss in judged.misses)


def test_elsewhere_a_result_may_be_as_far_as_ways_to_compute_it_are(
    tiny: Bundle, engine: Engine, recorded: Repeat
) -> None:
    away = elsewhere(recorded, median=1e-4, worst=1e-3)
    assert judge_repeat(tiny, Nudged(engine, "y_encoder", 3e-4), away).verdict is Verdict.KEPT
    judged = judge_repeat(tiny, Nudged(engine, "y_encoder", 6e-4), away)
    assert len(judged.misses) == 1
    assert judged.misses[0].startswith("y_encoder: expected the usual row within 0.0004 of its length")
    one_row = judge_repeat(tiny, Nudged(engine, "y_encoder", 0.02, row=-1), away)
    assert one_row.misses[0].startswith("y_encoder: expected the worst row within 0.004 of its length")


def test_elsewhere_float_is_held_to_what_float_costs(tiny: Bundle, engine: Engine, recorded: Repeat) -> None:
    away = elsewhere(recorded, median=0.0, worst=0.0)
    assert judge_repeat(tiny, engine, away).verdict is Verdict.KEPT
    assert judge_repeat(tiny, Nudged(engine, "predictor", 1e-4), away).verdict is Verdict.MISSED


def test_a_cpu_that_cuts_off_sums_says_nothing_of_int8(
    tiny: Bundle, engine: Engine, recorded: Repeat
) -> None:
    environment = replace(recorded.environment, cpu="another", saturates=not recorded.environment.saturates)
    judged = judge_repeat(tiny, Nudged(engine, "predictor", 0.5), replace(recorded, environment=environment))
    assert judged.verdict is Verdict.NOT_JUDGED
    assert len(judged.unjudged) == len(recorded.probes)


def test_without_a_record_of_this_engine_nothing_is_judged(
    tiny: Bundle, engine: Engine, recorded: Repeat
) -> None:
    assert judge_repeat(tiny, engine, None).absent
    unmeasured = judge_repeat(tiny, engine, elsewhere(recorded))
    assert unmeasured.verdict is Verdict.NOT_JUDGED
    assert len(unmeasured.unjudged) == len(recorded.probes)
    other = replace(recorded, environment=replace(recorded.environment, family="openvino:cpu"))
    assert judge_repeat(tiny, engine, other).absent.endswith("openvino:cpu alone")
    fewer = replace(recorded, probes={**recorded.probes, STEP: ()})
    assert judge_repeat(tiny, engine, fewer).unjudged == (f"{STEP}: nothing was recorded of it",)


def test_a_graph_that_fails_where_it_gave_an_answer_is_a_miss(
    tiny: Bundle, engine: Engine, recorded: Repeat, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: _Off, feeds: Mapping[str, Array]) -> dict[str, Array]:
        raise RunError("out of memory")

    monkeypatch.setattr(_Off, "run", fails)
    judged = judge_repeat(tiny, Nudged(engine, STEP, 0.0), recorded)
    assert judged.misses == (f"{STEP}: gave an answer at export, and here out of memory",)


def test_a_record_survives_the_disk_and_takes_little_of_it(tiny: Bundle, recorded: Repeat) -> None:
    alone = Reference(samples=Reference.of(tiny).samples)
    data = replace(alone, repeat=recorded).to_bytes()
    again = Reference.from_bytes(data)
    assert again.to_bytes() == data
    assert again.repeat is not None
    assert again.repeat.environment == recorded.environment
    assert again.repeat.spreads == recorded.spreads
    assert len(data) - len(alone.to_bytes()) < 100_000


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(b'"digests": ["', b'"digests": ["0", "', id="one-digest-too-many"),
        pytest.param(b'"rows": "t', b'"rows": "x', id="no-such-array"),
        pytest.param(b'"saturates": ', b'"saturates": 3', id="no-flag"),
    ],
)
def test_a_hostile_record_is_refused(old: bytes, new: bytes, recorded: Repeat) -> None:
    data = Reference(samples={}, repeat=recorded).to_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    old, new = (text.replace(b'"', b'\\"') for text in (old, new))
    header = data[8:start].replace(old, new, 1)
    assert header != data[8:start]
    with pytest.raises(BundleError, match="not a reference of this version"):
        Reference.from_bytes(len(header).to_bytes(8, "little") + header + data[start:])


def test_sketches_tell_how_far_rows_are_apart() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(2000, 96))
    other = rows + 0.01 * random.normal(size=rows.shape)
    wanted = np.linalg.norm(rows - other, axis=1) / np.linalg.norm(rows, axis=1)
    found = row_distances(sketch(rows), sketch(other)) / wanted
    assert 0.9 < np.median(found) < 1.05
    assert found.min() > 0.1
    assert found.max() < 2.5
    assert row_distances(sketch(rows), sketch(np.full_like(rows, np.nan))).min() == np.inf
