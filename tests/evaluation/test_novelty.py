"""The fit of what a model knows: its threshold, what it refuses, and the gate that finds it again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vljepa_evaluation.gates import Reference, judge_novelty
from vljepa_evaluation.gates.verdict import Verdict
from vljepa_evaluation.novelty import LEAST_WINDOWS, KnownWindows, fit_novelty
from vljepa_runtime import Bundle, InputError, Model, open_engine
from vljepa_runtime.novelty import NOVELTY_FILE, Novelty


def of_takes(rows: np.ndarray, *, each: int = 1) -> KnownWindows:
    return KnownWindows(rows=rows, takes=np.arange(len(rows)) // each)


def test_windows_that_had_no_part_in_the_fit_are_kept_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    shape = rng.normal(size=(24, 24)) * np.linspace(2, 0.1, 24)
    draw = lambda count: rng.normal(size=(count, 24)) @ shape  # noqa: E731
    fitted = fit_novelty({"one": of_takes(draw(800)), "two": of_takes(draw(800) + 40)})
    spec = fitted.spec
    assert (spec.windows, spec.data) == (1600, "one, two")
    for rows in (draw(2000), draw(2000) + 40):
        assert (fitted.novelty.distances(rows) <= spec.threshold).mean() == pytest.approx(0.99, abs=0.01)
    assert (fitted.novelty.distances(draw(200) + 20) > spec.threshold).all()


def test_windows_of_a_file_say_nothing_of_each_other() -> None:
    """Forty files of ten windows each that are nearly the same: another file is as far as the threshold allows."""
    rng = np.random.default_rng(2)

    def draw(files: int) -> np.ndarray:
        middles = np.repeat(rng.normal(size=(files, 24)), 10, axis=0)
        return np.asarray(middles + 0.01 * rng.normal(size=middles.shape))

    rows = draw(40)
    kept = [
        (fitted.novelty.distances(draw(300)) <= fitted.spec.threshold).mean()
        for fitted in (fit_novelty({"one": of_takes(rows, each=each)}) for each in (10, 1))
    ]
    assert kept[0] >= 0.95 > 0.8 > kept[1]


@pytest.mark.parametrize("sizes", [[50], [29, 1, 1, 1], [20, 20], [10] * 12, [5, 25, 10]])
def test_every_fold_leaves_at_least_half_of_the_windows_to_the_fit(sizes: list[int]) -> None:
    takes = np.repeat(np.arange(len(sizes)), sizes)
    folds = KnownWindows(rows=np.zeros((len(takes), 2)), takes=takes).folds
    assert np.bincount(folds).max() <= len(takes) / 2
    if max(sizes) <= len(takes) / 2:
        assert all(len(set(folds[takes == take])) == 1 for take in range(len(sizes)))


def test_what_always_shows_the_same_is_known() -> None:
    fitted = fit_novelty({"a wall": of_takes(np.ones((LEAST_WINDOWS, 6)))})
    assert fitted.spec.threshold == 1
    assert fitted.novelty.distances(np.zeros((1, 6)))[0] > fitted.spec.threshold


@pytest.mark.parametrize(
    "known", [{}, {"door": of_takes(np.zeros((LEAST_WINDOWS - 1, 6)))}], ids=["none", "few"]
)
def test_too_little_is_refused(known: dict[str, KnownWindows]) -> None:
    with pytest.raises(InputError, match=r"expected at least 32 windows of each kind, got (none|31 of door)"):
        fit_novelty(known)


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return Bundle.open("tiny")


def judged(bundle: Bundle, *, threshold: float = 1.0, novelty: Novelty | None = None) -> Verdict:
    """What the gate says of a copy in which something was edited, hashes and seal all right."""
    manifest, reference = bundle.manifest, Reference.of(bundle)
    assert manifest.novelty
    assert reference.usage
    files = {name: bundle.read(name) for name in manifest.files}
    if novelty:
        files[NOVELTY_FILE] = novelty.to_bytes()
    spec = replace(manifest.novelty, threshold=manifest.novelty.threshold * threshold)
    model = Model(Bundle.in_memory(replace(manifest, novelty=spec), files), open_engine("onnxruntime:cpu"))
    return judge_novelty(model, reference.novelty, reference.usage.footage).verdict


def test_the_gate_is_kept_where_nothing_was_edited(shipped: Bundle) -> None:
    assert judged(shipped) is Verdict.KEPT


@pytest.mark.parametrize("factor", [1.1, 0.9, 100])
def test_the_gate_sees_another_threshold(shipped: Bundle, factor: float) -> None:
    assert judged(shipped, threshold=factor) is Verdict.MISSED


def test_the_gate_sees_other_statistics(shipped: Bundle) -> None:
    held = Novelty.from_bytes(shipped.read(NOVELTY_FILE))
    exchanged = replace(held, mean=held.mean[::-1])
    louder = replace(held, variances=held.variances * 1.1, rest=held.rest * 1.1)
    assert judged(shipped, novelty=exchanged) is Verdict.MISSED
    assert judged(shipped, novelty=louder) is Verdict.MISSED


def test_the_gate_is_absent_where_nothing_was_recorded(shipped: Bundle) -> None:
    model = Model(shipped, open_engine("onnxruntime:cpu"))
    assert judge_novelty(model, None, ()).absent == "nothing was recorded to judge its calibration with"
    old = Bundle.in_memory(
        replace(shipped.manifest, novelty=None), {name: shipped.read(name) for name in shipped.manifest.files}
    )
    old_model = Model(old, open_engine("onnxruntime:cpu"))
    assert "no calibration" in judge_novelty(old_model, None, ()).absent
    assert old_model.is_unknown(np.zeros(192, np.float32)) is None
