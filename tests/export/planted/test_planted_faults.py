"""Every fault of the table in a copy of a clean bundle: who sees it while the seal is the old one, and who after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from planted_copy import Copy
from planted_faults import FAULTS, By, Fault

from vljepa_evaluation.gates import Reference, Scenes, Verdict, check_gates, judge_novelty, judge_repeat
from vljepa_export.constants import prove_bundle
from vljepa_quant import limits_for
from vljepa_runtime.bundle import Bundle
from vljepa_runtime.contract import NETWORKS
from vljepa_runtime.engines import open_engine
from vljepa_runtime.errors import BundleError
from vljepa_runtime.model import Model

pytestmark = pytest.mark.slow


class Kind(NamedTuple):
    """What a clean bundle is made as, and what runs it."""

    format: str
    precision: str | dict[str, str]
    engine: str = "onnxruntime:cpu"


GRAPHS = ("x_encoder", "predictor", "y_encoder", "y_decoder_prefill", "y_decoder_step")
KINDS = {
    "fp32": Kind("onnx", "fp32"),
    "int8": Kind("onnx", "int8"),
    "int4": Kind("onnx", "int4"),
    "openvino": Kind(
        "openvino", {**dict.fromkeys(GRAPHS, "int8-weights"), "x_encoder": "int8"}, "openvino:cpu"
    ),
}
HERE = [fault for fault in FAULTS if fault.kind in KINDS]
USED = [  # one of a sort, as each costs two seconds; `plant.py` has all
    fault
    for fault in HERE
    if By.DISTANCE in fault.by
    and fault.name.endswith(
        ("two words exchanged", "fps 2", "stretch", "classify exchanged", "budget", "no prompts")
    )
]
Clean = Callable[[str], Path]


@pytest.fixture(scope="module")
def clean(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Clean:
    """`clean(kind)`: a bundle as it was exported, made at its first use."""
    from vljepa_export import export_bundle

    folder, made = tmp_path_factory.mktemp("clean"), set[str]()

    def bundle(kind: str) -> Path:
        path = folder / f"{kind}.vljepa"
        if kind not in made:
            format, precision, engine = KINDS[kind]
            pytest.importorskip(engine.partition(":")[0])
            few = Scenes(clips=2, seconds=4.0)
            export_bundle(small_checkpoint, path, format=format, precision=precision, scenes=few)
            made.add(kind)
        return path

    return bundle


@pytest.fixture(scope="module")
def floats(clean: Clean) -> Bundle:
    return Bundle.open(clean("fp32"))


def name(fault: Fault) -> str:
    return f"{fault.kind}-{fault.name}".replace(" ", "-")


def test_the_table_covers_what_a_bundle_is_made_of() -> None:
    assert len(FAULTS) >= 40
    assert len({(fault.name, fault.kind) for fault in FAULTS}) == len(FAULTS)
    assert {fault.kind for fault in FAULTS} == {*KINDS, "trained"}
    heads = {fault.name.partition(":")[0] for fault in FAULTS}
    assert heads == {*GRAPHS, "tokenizer", "manifest", "claim", "novelty"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_clean_bundle_is_under_its_seal(kind: str, clean: Clean) -> None:
    bundle = Copy(clean(kind)).bundle(sealed=False)
    assert Reference.of(bundle).judge_seal(bundle.manifest).verdict is Verdict.KEPT


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_clean_bundle_repeats_itself(kind: str, threads: int, clean: Clean) -> None:
    with Bundle.open(clean(kind)) as bundle:
        engine = open_engine(KINDS[kind].engine, threads=threads)
        assert judge_repeat(bundle, engine, Reference.of(bundle).repeat).verdict is Verdict.KEPT


@pytest.mark.parametrize("kind", KINDS)
def test_all_that_is_fixed_in_a_clean_bundle_is_what_was_meant(
    kind: str, clean: Clean, floats: Bundle
) -> None:
    proofs = prove_bundle(Bundle.open(clean(kind)), floats)
    assert [proof for proof in proofs if not proof.kept] == []
    assert len(proofs) == len(GRAPHS) + 2


@pytest.mark.parametrize("fault", HERE, ids=name)
def test_the_seal_sees_every_edit(fault: Fault, clean: Clean) -> None:
    copy = Copy(clean(fault.kind))
    fault.plant(copy)
    if By.OPENING in fault.by:
        with pytest.raises(BundleError):
            copy.bundle(sealed=False)
        return
    bundle = copy.bundle(sealed=False)
    assert Reference.of(bundle).judge_seal(bundle.manifest).verdict is Verdict.MISSED
    again = copy.bundle(sealed=True)
    assert Reference.of(again).judge_seal(again.manifest).verdict is Verdict.KEPT


@pytest.mark.parametrize("fault", [each for each in HERE if By.CONSTANTS in each.by], ids=name)
def test_constants_say_where_it_is_once_it_is_sealed_again(
    fault: Fault, clean: Clean, floats: Bundle
) -> None:
    copy = Copy(clean(fault.kind))
    fault.plant(copy)
    faulty = [proof.name for proof in prove_bundle(copy.bundle(sealed=True), floats) if proof.faults]
    head = fault.name.partition(":")[0]
    if head in GRAPHS:
        assert head in faulty
        assert {NETWORKS[each] for each in faulty} == {
            NETWORKS[head]
        }  # two graphs may share the file of weights
    else:
        assert len(faulty) == 1


@pytest.mark.parametrize("fault", [each for each in HERE if By.REPEAT in each.by], ids=name)
def test_the_engine_does_not_repeat_it_once_it_is_sealed_again(fault: Fault, clean: Clean) -> None:
    copy = Copy(clean(fault.kind))
    fault.plant(copy)
    bundle = copy.bundle(sealed=True)
    judged = judge_repeat(bundle, open_engine(KINDS[fault.kind].engine), Reference.of(bundle).repeat)
    assert judged.verdict is Verdict.MISSED
    head = fault.name.partition(":")[0]
    assert {NETWORKS[miss.partition(":")[0]] for miss in judged.misses} == {NETWORKS[head]}


@pytest.mark.parametrize("fault", USED, ids=name)
def test_what_users_do_shows_it_once_it_is_sealed_again(fault: Fault, clean: Clean) -> None:
    copy = Copy(clean(fault.kind))
    fault.plant(copy)
    bundle = copy.bundle(sealed=True)
    reference = replace(Reference.of(bundle), samples={}, repeat=None, novelty=None)
    found = check_gates(bundle, open_engine(KINDS[fault.kind].engine), reference, limits=limits_for)
    assert [each.name for each in found.judgements if each.misses] == ["distance"]


@pytest.mark.parametrize("fault", [each for each in HERE if By.NOVELTY in each.by], ids=name)
def test_known_and_unknown_are_told_otherwise_once_it_is_sealed_again(fault: Fault, clean: Clean) -> None:
    copy = Copy(clean(fault.kind))
    fault.plant(copy)
    bundle = copy.bundle(sealed=True)
    reference, model = Reference.of(bundle), Model(bundle, open_engine(KINDS[fault.kind].engine))
    footage = reference.usage.footage if reference.usage else None
    assert judge_novelty(model, reference.novelty, footage).verdict is Verdict.MISSED


@pytest.mark.parametrize("kind", KINDS)
def test_a_clean_bundle_tells_what_it_knows_as_it_did(kind: str, clean: Clean) -> None:
    with Bundle.open(clean(kind)) as bundle:
        reference, model = Reference.of(bundle), Model(bundle, open_engine(KINDS[kind].engine, threads=2))
        footage = reference.usage.footage if reference.usage else None
        assert judge_novelty(model, reference.novelty, footage).verdict is Verdict.KEPT
