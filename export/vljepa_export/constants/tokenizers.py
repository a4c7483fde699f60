"""Tokenizers beside those of the checkpoint: the same words with the same numbers, and all else that they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vljepa_evaluation.gates import ConstantsProof
from vljepa_runtime.bundle import Bundle
from vljepa_runtime.files import parse_json

__all__ = ["differences", "prove_tokenizers", "tokenizers_of"]

SHOWN = 8


def prove_tokenizers(
    wanted: Mapping[str, bytes], written: Mapping[str, tuple[str, bytes]]
) -> tuple[ConstantsProof, ...]:
    """Compare tokenizers.

    Args:
        wanted: Content per role.
        written: File name and content per role.
    """
    proofs: dict[str, ConstantsProof] = {}
    for role, content in wanted.items():
        if role not in written:
            proofs[role] = ConstantsProof(
                name=role, faults=(f"expected a tokenizer for the {role}, got none",)
            )
            continue
        file, found = written[role]
        faults = tuple(f"{role}: {fault}" for fault in _faults(content, found))
        known = proofs.get(file, ConstantsProof(name=file))
        proofs[file] = ConstantsProof(
            name=file, compared=1, values=len(found), faults=(*known.faults, *faults)
        )
    return tuple(proofs.values())


def tokenizers_of(bundle: Bundle) -> Mapping[str, tuple[str, bytes]]:
    """File name and content per role."""
    return {role: (file, bundle.read(file)) for role, file in bundle.manifest.tokenizers.items()}


def _faults(wanted: bytes, found: bytes) -> tuple[str, ...]:
    if wanted == found:
        return ()
    try:
        differ = list(differences("", parse_json(wanted), parse_json(found)))
    except ValueError as error:
        return (f"is not readable ({error})",)
    more = [f"{len(differ) - SHOWN} more"] if len(differ) > SHOWN else []
    return (*differ[:SHOWN], *more)  # the same values in other letters mean the same


def differences(where: str, wanted: Any, got: Any) -> Iterator[str]:
    """Where two values of JSON are not the same, in words."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        for key in dict.fromkeys((*wanted, *got)):
            yield from differences(f"{where}.{key}".removeprefix("."), wanted.get(key), got.get(key))
    elif isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        for index, (mine, theirs) in enumerate(zip(wanted, got)):
            yield from differences(f"{where}[{index}]", mine, theirs)
    elif wanted != got or type(wanted) is not type(got):
        yield f"{where}: expected {_short(wanted)}, got {_short(got)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
