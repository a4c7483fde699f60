"""A source indexed away from its log, on another machine, say: packed there, and added to the log in one step.

So the log has either all that was read of a source, with how far it was read, or nothing of it, however often and by
whomever it was read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from vljepa_log.errors import LogError
from vljepa_log.indexing import Indexed, indexed_before, try_source
from vljepa_log.packing import contents_of, pack_contents, unpack_contents
from vljepa_log.recording import origin_of
from vljepa_log.store import Contents, Position
from vljepa_log.writer import LogWriter
from vljepa_runtime import InputError, SourceError
from vljepa_runtime.files import parse_json, plain, read_record
from vljepa_runtime.sources import source_name

if TYPE_CHECKING:
    from vljepa_runtime import Model

__all__ = ["SourceOrder", "add_gathered", "gather_source", "order_source"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOrder:
    """What is to be gathered, as JSON can say it.

    Attributes:
        source: A file or folder.
        stream: Its name in the log.
        origin: What tells its content from another's under the same name, as it is where the log is.
        positions: How far the log holds the stream, by query.
    """

    source: str
    stream: str
    origin: str
    positions: Mapping[str, Position] = field(default_factory=dict)


def order_source(log: LogWriter, source: str, *, query: str, stride_s: float = 1.0) -> SourceOrder | Indexed:
    """What is to be gathered of a source for a log; or, where there is nothing to do, what `try_source` says of it.

    Args:
        log: Of which what it holds is left out.
        source: A file or folder.
        query: What is asked of every window.
        stride_s: Seconds between starts of windows.

    Raises:
        InputError: it is a camera or an address.
    """
    try:
        if before := indexed_before(log, source, query, stride_s=stride_s):
            return before
        stream, origin = source_name(source), origin_of(source)
    except (SourceError, InputError) as error:
        return Indexed(stream=source, windows=0, end_s=0.0, error=str(error))
    if not origin:
        raise InputError(
            f"expected a file or folder, got {stream}: a camera or an address is indexed where the log is"
        )
    return SourceOrder(source=source, stream=stream, origin=origin, positions=log.positions(stream))


def gather_source(model: Model, order: SourceOrder, **options: Any) -> bytes:
    """What `index_source` would add to a log, as bytes for `add_gathered`.

    Args:
        model: Whose embeddings are logged.
        order: What `order_source` gave; another content under its name is refused.
        options: As `index_source` takes them.

    Raises:
        LogError: the disk for temporary files is full.

    Examples:
        >>> import vljepa_runtime as vj
        >>> from vljepa_log import LogWriter, SourceOrder, add_gathered, gather_source, order_source
        >>> model = vj.load("tiny")
        >>> with LogWriter("GATHERED", model.bundle.manifest) as log:
        ...     order = order_source(log, "clip.mp4", query="What happens?")
        ...     gathered = gather_source(model, order, query="What happens?")  # on another machine, say
        ...     done, engine = add_gathered(log, gathered)
        ...     again = order_source(log, "clip.mp4", query="What happens?")
        >>> isinstance(order, SourceOrder), done.windows, engine, again.skipped
        (True, 5, 'onnxruntime:cpu', True)
    """
    positions = {(order.stream, query): at for query, at in order.positions.items()}
    with (
        TemporaryDirectory(prefix="vljepa-") as folder,
        LogWriter(folder, model.bundle.manifest, boundaries=model.boundaries) as log,
    ):
        log.store.append(Contents(positions=positions))
        found = _other_content(order) or try_source(model, order.source, log, **options)
        log.flush()
        contents = contents_of(log.store)
        news = {of: at for of, at in contents.positions.items() if positions.get(of) != at}
        about = {"indexed": json.dumps(plain(found)), "engine": model.engine_name}
        return pack_contents(replace(contents, positions=news), about)


def add_gathered(log: LogWriter, gathered: bytes, *, name: str = "what was gathered") -> tuple[Indexed, str]:
    """Add to a log what `gather_source` gave, and tell what became of the source.

    Args:
        log: Takes all of it in one step.
        gathered: Of a source of which the log holds what it held then.
        name: Of its file, for messages.

    Returns:
        What `try_source` would have told, and the engine that computed.

    Raises:
        LogError: it is damaged, or the log cannot be written.
    """
    contents, about = unpack_contents(gathered, name=name)
    try:
        indexed = read_record(Indexed, parse_json(about["indexed"]), name, error=LogError)
        engine = about["engine"]
    except (KeyError, ValueError) as error:
        raise LogError(f"{name} is damaged: {error}") from error
    log.add_contents(contents)
    return indexed, engine


def _other_content(order: SourceOrder) -> Indexed | None:
    """A note that a name is another file's here, or that the file was changed meanwhile."""
    try:
        here = origin_of(order.source)
    except SourceError:  # told like any other source that cannot be read
        return None
    if here == order.origin:
        return None
    error = (
        f"{order.source} has {here or 'no bytes'} where it is read and {order.origin} where the log is: wait until "
        "it is written, or let all machines see the same files with the same times"
    )
    return Indexed(stream=order.stream, windows=0, end_s=0.0, error=error)
