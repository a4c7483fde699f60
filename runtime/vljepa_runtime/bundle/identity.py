"""What embeddings that somebody kept mean: which weights made them, and what those saw."""

from __future__ import annotations

import hashlib
import json

from vljepa_runtime.bundle.manifest import Manifest

__all__ = ["identity_of"]


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
