"""The faults, one row each: what is wrong, into which bundles it goes, and who must see it when it is sealed again.

A new fault is a row. While the seal is the old one, it shows whatever is edited: one test says that of all rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from planted_edits import (
    Plant,
    attribute,
    bfloat16,
    channels,
    clamped_position,
    constant,
    exchange,
    exchange_prompts,
    exchanged_outputs,
    filled,
    half_bytes,
    halves_exchanged,
    ir,
    ir_exchange,
    ir_text,
    ir_words,
    late_merge_first,
    longer,
    louder,
    lowest_bit,
    manifest,
    mean_and_std,
    nodes,
    novelty,
    novelty_entry,
    one_step,
    other_cache,
    other_scale,
    other_tokenizer,
    other_weights,
    plus,
    preprocess,
    query_positions,
    smaller,
    special_ids,
    through_float16,
    times,
    tokenizer,
    turned,
    unmasked,
    weight_zero_point,
    words_in_table,
    words_in_tokenizer,
)

__all__ = ["FAULTS", "By", "Fault"]


class By(str, Enum):
    """Who sees a fault."""

    OPENING = "opening"  # bundle.json contradicts itself, or the graph: no command takes it
    CONSTANTS = "constants"  # verify --against
    REPEAT = "repeat"  # verify
    DISTANCE = "distance"  # verify
    NOVELTY = "novelty"  # verify
    SEAL = "seal"  # a claim, or what changes nothing here: nobody sees it once it is sealed again


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One row.

    Attributes:
        name: What is wrong.
        kind: The bundle that it goes into; `trained` is one whose tokenizer knows the world's words.
        plant: Does it.
        by: Who must see it once it is sealed again, each of them alone.
    """

    name: str
    kind: str
    plant: Plant
    by: tuple[By, ...]


def rows(kinds: str, by: str, faults: Mapping[str, Plant]) -> tuple[Fault, ...]:
    """Faults that go into the same bundles and are seen by the same."""
    seen = tuple(map(By, by.split()))
    return tuple(
        Fault(name=name, kind=kind, plant=plant, by=seen)
        for name, plant in faults.items()
        for kind in kinds.split()
    )


NORM, NETWORKS = (
    "LayerNormalization",
    ("x_encoder", "predictor", "y_encoder", "y_decoder_prefill", "y_decoder_step"),
)
SCALES = {  # of weights: of an early layer, and of a late one
    "x_encoder": (r"blocks\.0\.qkv\.weight\.T\.scale", r"blocks\..*fc2\.weight\.T\.scale"),
    "predictor": (r"visual\.weight\.T\.scale", r"head\.weight\.scale"),
    "y_encoder": (r"stack\.blocks\.0\.gate_up\.weight\.T\.scale", r"stack\..*down\.weight\.T\.scale"),
    "y_decoder_prefill": (r"decoder\.prefix\.weight\.scale", r"decoder\..*qkv\.weight\.T\.scale"),
    "y_decoder_step": (r"decoder\..*proj\.weight\.T\.scale", r"decoder\..*gate_up\.weight\.T\.scale"),
}
PAIRS = (("yes", "no"), ("three", "four"), ("how", "which"), ("ball", "box"))

FAULTS: tuple[Fault, ...] = (
    *rows("int8", "constants repeat", {
        **{f"{name}: scales of a layer x 1.02": constant(name, SCALES[name][0], times(1.02)) for name in NETWORKS},
        **{f"{name}: one scale x 1.02": constant(name, SCALES[name][1], times(1.02, 3), nth=-1) for name in NETWORKS},
        **{f"{name}: zero point of weights + 1": nodes(name, weight_zero_point) for name in NETWORKS},
        "x_encoder: one weight + 1 step": constant("x_encoder", r"blocks\.0\.qkv\.weight\.T\.int8", one_step(1, 1)),
        "predictor: one weight + 1 step": constant("predictor", r"visual\.weight\.T\.int8", one_step(1, 1)),
        "y_decoder_step: one weight + 1 step": constant("y_decoder_step", r".*qkv\.weight\.T\.int8", one_step(1, 1)),
        "predictor: a layer x 1.05": constant("predictor", r"stack\..*proj\.weight\.T\.scale", times(1.05)),
        "y_encoder: a layer x 1.05": constant("y_encoder", r"stack\..*down\.weight\.T\.scale", times(1.05)),
        "predictor: rotary frequencies x 1.01": constant("predictor", r"stack\.frequencies", times(1.01)),
        "y_encoder: attention scale x 1.02": constant("y_encoder", "scale", times(1.02)),
        "predictor: padding not masked": nodes("predictor", unmasked),
        "x_encoder: GELU by its tanh form": nodes("x_encoder", attribute("Gelu", "approximate", "tanh")),
        "x_encoder: red for blue": constant("x_encoder", r"patch_weight\.T\.int8", channels),
        "x_encoder: two inputs of a layer exchanged": constant("x_encoder", r"blocks\.0\.fc1\..*int8", exchange(1, 2)),
        "predictor: a layer takes another's weights": nodes("predictor", other_weights),
        "predictor: a product scaled as another": nodes("predictor", other_scale),
        "x_encoder: an activation through float16": nodes("x_encoder", through_float16),
        "x_encoder: height and width exchanged": constant("x_encoder", "frequencies", exchange(1, 2)),
        "y_encoder: attention over the other axis": nodes("y_encoder", attribute("Softmax", "axis", 2)),
        "y_encoder: embeddings a little longer": nodes("y_encoder", louder),
        "y_decoder_step: keys leave as values": nodes("y_decoder_step", exchanged_outputs),
        "predictor: two words exchanged in the table": words_in_table("predictor", "how", "video"),
    }),
    *rows("int8 fp32", "constants repeat", {
        "x_encoder: epsilon of the first norm 1e-3": nodes("x_encoder", attribute(NORM, "epsilon", 1e-3)),
        "x_encoder: epsilon of the last norm 1e-3": nodes("x_encoder", attribute(NORM, "epsilon", 1e-3, nth=-1)),
        "predictor: epsilon of all norms 1e-3": constant("predictor", "epsilon", filled(1e-3)),
        "y_encoder: epsilon of all norms 1e-3": constant("y_encoder", "epsilon", filled(1e-3)),
        "x_encoder: mean and std exchanged": nodes("x_encoder", mean_and_std),
        "predictor: query positions + 1 against the visual ones": nodes("predictor", query_positions),
        "y_decoder_step: position stays after two steps": nodes("y_decoder_step", clamped_position),
        "y_decoder_step: reads another layer's cached keys": nodes("y_decoder_step", other_cache),
        "y_encoder: two words exchanged in the table": words_in_table("y_encoder", "small", "large"),
    }),
    *rows("fp32", "constants repeat", {
        "predictor: a layer x 1.05": constant("predictor", r"stack\..*proj\.weight\.T", times(1.05)),
        "y_encoder: a layer x 1.05": constant("y_encoder", r"stack\..*down\.weight\.T", times(1.05)),
        "y_encoder: rotary halves exchanged": nodes("y_encoder", halves_exchanged),
        "y_encoder: padding not masked": nodes("y_encoder", unmasked),
        "x_encoder: one bias + 0.01": constant("x_encoder", r"blocks\.0\.fc1\.bias", plus(0.01, 3)),
        "x_encoder: weights rounded to bfloat16": constant("x_encoder", r"blocks\.0\.fc1\.weight\.T", bfloat16),
        "y_decoder_prefill: prefix positions turned round": constant("y_decoder_prefill", r"unsqueeze_\d+", turned),
    }),
    *rows("int4", "constants repeat", {
        "predictor: one scale x 1.02": constant("predictor", r"stack\..*gate_up\.weight\.T\.scales", times(1.02, 3)),
        "y_encoder: one weight + 1 step": constant("y_encoder", r"stack\..*qkv\.weight\.T\.int4", lowest_bit(1, 0, 1)),
        "y_decoder_step: halves of bytes exchanged": constant("y_decoder_step", r".*down\.weight\.T\.int4", half_bytes),
        "predictor: products with float activations": nodes("predictor", attribute("MatMulNBits", "accuracy_level", 1)),
        "y_decoder_step: epsilon of all norms 1e-3": constant("y_decoder_step", "epsilon", filled(1e-3)),
        "y_decoder_step: two words exchanged in the table": words_in_table("y_decoder_step", "small", "large"),
    }),
    *rows("openvino", "constants repeat", {
        "y_decoder_step: reads values for keys": ir_exchange("y_decoder_step", "past_k_0", "past_v_0"),
        "y_encoder: two words exchanged in the table": ir_words("y_encoder", "small", "large"),
        "predictor: one scale x 1.02": ir("predictor", r"stack\..*qkv\.weight\.T/scale", times(1.02, 0, 3)),
        "x_encoder: scales of a layer x 1.02": ir("x_encoder", r"Constant_\d+", times(1.02), kind="f32"),
        "x_encoder: range of an activation x 1.05": ir("x_encoder", r"LayerNorm.*output_high", times(1.05)),
        "x_encoder: epsilon of a norm 1e-3": ir_text("x_encoder", r'eps="[^"]+"', 'eps="0.001"'),
        "predictor: epsilon of all norms 1e-3": ir("predictor", "epsilon", filled(1e-3)),
        "y_decoder_step: one weight + 1 step": ir("y_decoder_step", r".*proj\.weight\.T", one_step(1, 1), kind="i8"),
        "y_encoder: a layer x 1.05": ir("y_encoder", r"stack\..*down\.weight\.T/scale", times(1.05)),
        "x_encoder: smoothing x 1.05": ir("x_encoder", r"LayerNormalization.*smooth_quant/scale", times(1.05)),
    }),
    *rows("trained", "constants repeat", {
        **{f"y_encoder: {a} and {b} exchanged": words_in_table("y_encoder", a, b) for a, b in PAIRS},
        **{f"predictor: {a} and {b} exchanged": words_in_table("predictor", a, b) for a, b in PAIRS},
        **{f"y_decoder_step: {a} and {b} exchanged": words_in_table("y_decoder_step", a, b) for a, b in PAIRS},
    }),
    *rows("trained", "constants distance", {
        f"tokenizer: {a} and {b} exchanged": words_in_tokenizer(a, b) for a, b in PAIRS
    }),
    *rows("int8", "constants distance", {
        "tokenizer: two words exchanged": words_in_tokenizer("small", "large"),
        "tokenizer: capitals stay": tokenizer(lambda held: held.update(normalizer={"type": "NFC"})),
        "tokenizer: no space in front": tokenizer(lambda held: held["pre_tokenizer"].update(add_prefix_space=False)),
        "manifest: fps 2": preprocess(fps=2.0),
        "manifest: fps 8": preprocess(fps=8.0),
        "manifest: resize stretch": preprocess(resize="stretch"),
        "manifest: resize pad": preprocess(resize="pad"),
        "manifest: resize antialias": preprocess(resize="antialias"),
        "manifest: twice the frames": longer,
        "manifest: a smaller picture": smaller,
        "manifest: longer and smaller tubelets": preprocess(patch=6, tubelet=8, frames=8),
        "tokenizer: begin and end exchanged": tokenizer(special_ids),
        "manifest: frames by number": preprocess(sampling="frames"),
        "manifest: no prompts": manifest(lambda said: said.update(prompts={})),
        "manifest: caption and classify exchanged": exchange_prompts("caption", "classify"),
        "manifest: caption and retrieval exchanged": exchange_prompts("caption", "retrieval"),
    }),
    *rows("int8", "constants", {
        # too little to show where activations are rounded to eight bits
        "y_encoder: the scale of one word x 1.02": constant("y_encoder", r"embed\.weight\.scale", times(1.02, 309)),
        "tokenizer: a vocabulary of its own for the decoder": other_tokenizer,
        "tokenizer: the last merge left out": tokenizer(lambda held: held["model"]["merges"].pop()),
        "tokenizer: two merges exchanged": tokenizer(late_merge_first),
        "manifest: frames rounded down": preprocess(picks="floor"),
        "manifest: mean and std exchanged": preprocess(mean=[0.229, 0.224, 0.225], std=[0.485, 0.456, 0.406]),
        "claim: a precision of wider limits": manifest(lambda said: said["precision"].update(predictor="int4-weights")),
    }),
    *rows("int8", "distance", {
        "manifest: a token budget": manifest(lambda said: said["graphs"]["x_encoder"].update(token_budgets=[7])),
    }),
    *rows("fp32 int8 openvino", "novelty", {
        "novelty: threshold x 1.1": novelty_entry(threshold=1.1),
        "novelty: threshold x 0.9": novelty_entry(threshold=0.9),
        "novelty: variances exchanged": novelty(lambda held: held.update(variances=held["variances"][:, ::-1].copy())),
        "novelty: variances x 1.1": novelty(
            lambda held: held.update({key: held[key] * np.float32(1.1) for key in ("variances", "rest")})
        ),
        "novelty: directions of other channels": novelty(
            lambda held: held.update(directions=np.roll(held["directions"], 1, axis=2))
        ),
        "novelty: another middle": novelty(lambda held: held.update(mean=held["mean"][:, ::-1].copy())),
    }),
    *rows("int8", "opening", {
        "manifest: a patch that the graph does not take": preprocess(patch=16),
        "manifest: longer embeddings": manifest(lambda said: said.update(embedding_dim=48)),
    }),
    *rows("int8", "seal", {
        "manifest: another checkpoint": manifest(lambda said: said["source"].update(checkpoint_sha256="0" * 64)),
        "claim: knows the world": manifest(lambda said: said.pop("knows_only")),
        "claim: near to float": manifest(lambda said: said["parity"]["predictor"].update(cosine=1.0, max_abs=0.0)),
        "claim: certified, or not": manifest(lambda said: said.update(certified=not said.get("certified"))),
        "claim: agreement end to end": manifest(lambda said: said["gates"].update(labels=0.99999)),
        "claim: accuracy": manifest(lambda said: said["accuracy"].update(top1=1.0)),
        "claim: a note": manifest(lambda said: said.update(notes={"predictor": "runs on the phone"})),
        "claim: made with other tools": manifest(lambda said: said["toolchain"].update(onnxruntime="1.0")),
    }),
)  # fmt: skip
