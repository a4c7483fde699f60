"""Which bundle it is: what embeddings that somebody kept mean, and which files ran."""

from __future__ import annotations

import hashlib
import json

from vljepa_runtime.bundle.manifest import Manifest

__all__ = ["fingerprint_of", "identity_of"]


def identity_of(manifest: Manifest) -> dict[str, str]:
    """What must be equal for embeddings to be comparable: the weights and how frames reach them, not the precision.

    Examples:
        >>> from vljepa_runtime.bundle import Bundle, identity_of
        >>> identity_of(Bundle.open("tiny").manifest)
        {'checkpoint': '8f03281465ca...', 'preprocessing': '...', 'embedding_dim': '256'}
    """
    seen = json.dumps(manifest.preprocess.to_dict(), sort_keys=True)
    return {
        "checkpoint": manifest.source.checkpoint_sha256 or manifest.name,
        "preprocessing": hashlib.sha256(seen.encode()).hexdigest(),
        "embedding_dim": str(manifest.embedding_dim),
    }


def fingerprint_of(manifest: Manifest) -> str:
    """Names a bundle by all of its files: what was measured of one precision is not what another one takes.

    Examples:
        >>> from vljepa_runtime.bundle import Bundle, fingerprint_of
        >>> len(fingerprint_of(Bundle.open("tiny").manifest))
        64
    """
    files = {name: spec.sha256 for name, spec in manifest.files.items()}
    text = json.dumps([manifest.target, files, manifest.preprocess.to_dict()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
