"""A bundle beside the float bundle of the same checkpoint: graphs, tokenizers, and what its manifest says it does."""

from __future__ import annotations

from collections.abc import Callable

from vljepa_evaluation.gates import ConstantsProof
from vljepa_export.constants.onnx_graph import OnnxGraph
from vljepa_export.constants.proving import prove_graph
from vljepa_export.constants.tokenizers import differences, prove_tokenizers, tokenizers_of
from vljepa_runtime.bundle import Bundle

__all__ = ["prove_bundle"]


def prove_bundle(
    bundle: Bundle, floats: Bundle, *, progress: Callable[[float], None] | None = None
) -> tuple[ConstantsProof, ...]:
    """Compare all that is fixed in a bundle with a float bundle of the same checkpoint; nothing is run.

    Args:
        bundle: The one to judge, of any target.
        floats: An fp32 ONNX bundle.
        progress: Called with the share done, 0..1.

    Returns:
        A proof for each graph, then for each tokenizer and for `bundle.json`.

    Examples:
        >>> from vljepa_export.constants import prove_bundle
        >>> from vljepa_runtime import Bundle
        >>> with Bundle.open("tiny") as tiny:  # beside itself: it holds int8, and no float
        ...     proofs = prove_bundle(tiny, tiny)
        >>> [(proof.name, proof.kept) for proof in proofs][-2:]
        [('tokenizer.json', True), ('bundle.json', True)]
    """
    report = progress or (lambda share: None)
    proofs = []
    for name in floats.manifest.graphs:
        proofs.append(_graph(name, bundle, floats))
        report(len(proofs) / len(floats.manifest.graphs))
    wanted = {role: content for role, (_, content) in tokenizers_of(floats).items()}
    tokenizers = prove_tokenizers(wanted, tokenizers_of(bundle))
    return (*proofs, *tokenizers, _manifest(bundle, floats))


def _graph(name: str, bundle: Bundle, floats: Bundle) -> ConstantsProof:
    if name not in bundle.manifest.graphs:
        return ConstantsProof(
            name=name, faults=("expected this graph, which the float bundle has, got none",)
        )
    return prove_graph(
        name,
        OnnxGraph(floats.graph(name).file, floats.view),
        bundle.graph(name),
        bundle.view,
        target=bundle.manifest.target,
        label=bundle.manifest.precision.get(name, "fp32"),
    )


def _manifest(bundle: Bundle, floats: Bundle) -> ConstantsProof:
    """What both have from the checkpoint."""
    parts = [
        {
            "preprocess": each.manifest.preprocess.to_dict(),
            "prompts": dict(each.manifest.prompts),
            "embedding_dim": each.manifest.embedding_dim,
        }
        for each in (floats, bundle)
    ]
    return ConstantsProof(name="bundle.json", compared=len(parts[0]), faults=tuple(differences("", *parts)))
