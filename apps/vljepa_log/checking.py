"""Whether a log is of the model that is asked: the identity that it was written with, beside the one that is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vljepa_log.errors import LogError
from vljepa_runtime.files import parse_json

__all__ = ["check_identity", "read_identity"]


def read_identity(text: str, *, place: str | Path) -> dict[str, str]:
    """An identity as a log has it.

    Raises:
        LogError: the log is damaged.
    """
    try:
        found = parse_json(text)
        if not isinstance(found, dict) or not int(found["embedding_dim"]) > 0:
            raise ValueError("no embedding_dim")
    except (KeyError, TypeError, ValueError) as error:
        raise LogError(
            f"{place} does not say what its embeddings mean ({error}): the log is damaged"
        ) from error
    return {str(name): str(value) for name, value in found.items()}


def check_identity(
    written: Mapping[str, str], wanted: Mapping[str, str] | None, *, place: str | Path
) -> None:
    """Refuse a log whose embeddings mean something else than is wanted; None takes any."""
    if wanted is None or dict(written) == dict(wanted):
        return
    other = sorted(name for name in {*written, *wanted} if written.get(name) != wanted.get(name))
    raise LogError(
        f"{place} was written by another model ({', '.join(other)} differ): embeddings of both cannot be compared; "
        "name the bundle that wrote it, or another folder for a new log"
    )
