"""What somebody shows: parts of files or of a log's streams, each with the name of its state. Reads no picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vljepa_data.annotations import csv_rows, read_annotations
from vljepa_runtime import InputError
from vljepa_runtime.arguments import number, text
from vljepa_runtime.files.values import RecordError, name

__all__ = ["Example", "examples_in_folder", "examples_in_table", "moments_in_table"]


@dataclass(frozen=True, slots=True)
class Example:
    """One showing of a state.

    Attributes:
        state: Its name.
        source: A file, or the name of a stream of a log.
        start_s: Begin of the part that shows it, in stream time.
        end_s: End; None for the end of the file.

    Raises:
        InputError: the name is empty or of several lines, or the part has no length.

    Examples:
        >>> from vljepa_teach import Example
        >>> Example("open", "door.mp4", 10, 20)
        Example(state='open', source='door.mp4', start_s=10, end_s=20)
    """

    state: str
    source: str | Path
    start_s: float = 0.0
    end_s: float | None = None

    def __post_init__(self) -> None:
        text(self.state, "state")
        try:
            name(self.state, "state")
        except RecordError as problem:
            raise InputError(str(problem)) from problem
        number(self.start_s, "start_s", least=0)
        if self.end_s is not None:
            number(self.end_s, "end_s", least=self.start_s)

    def __str__(self) -> str:
        end = "" if self.end_s is None else f" to {self.end_s:g} s"
        return f"{self.source} from {self.start_s:g} s{end}" if self.start_s or end else str(self.source)


def examples_in_folder(folder: str | Path) -> list[Example]:
    """Pictures and clips in one subfolder per state, whose name is the state's; files that begin with a dot are none.

    Raises:
        InputError: there is no such folder, or it has fewer than two subfolders with files.

    Examples:
        >>> from pathlib import Path
        >>> from vljepa_teach import examples_in_folder
        >>> for state in ("open", "shut"):
        ...     Path("door", state).mkdir(parents=True)
        ...     _ = Path("door", state, "1.jpg").write_bytes(b"...")
        >>> [example.state for example in examples_in_folder("door")]
        ['open', 'shut']
    """
    place = Path(folder)
    if not place.is_dir():
        raise InputError(f"expected a folder with one subfolder of examples per state, {place} is none")
    found = [
        Example(state.name, file)
        for state in sorted(place.iterdir())
        if state.is_dir() and not state.name.startswith(".")
        for file in sorted(state.iterdir())
        if file.is_file() and not file.name.startswith(".")
    ]
    if len({example.state for example in found}) < 2:
        raise InputError(
            f"expected a subfolder of pictures or clips for each of at least two states in {place}, "
            f"got {', '.join({example.state for example in found}) or 'none'}"
        )
    return found


def examples_in_table(table: str | Path) -> list[Example]:
    """Rows of a manifest, `path,text` and perhaps `start_s,end_s`, in CSV or JSON lines; `text` is the state.

    Raises:
        AnnotationError: it is no such table, with file and line.

    Examples:
        >>> from vljepa_teach import examples_in_table
        >>> [str(example) for example in examples_in_table("clips.csv")]
        ['clip.mp4 from 0 s to 3.437 s', 'clip.mp4 from 3.437 s to 6 s']
    """
    rows = read_annotations(table, format="manifest")
    return [Example(row.text, row.segment.path, row.segment.start_s, row.segment.end_s) for row in rows]


def moments_in_table(table: str | Path) -> list[Example]:
    """Rows `stream,text,start_s,end_s` of a CSV about the streams of a log; without `end_s` a moment is meant.

    Raises:
        AnnotationError: it is no such table, with file and line.

    Examples:
        >>> from pathlib import Path
        >>> from vljepa_teach import moments_in_table
        >>> _ = Path("moments.csv").write_text("stream,text,start_s,end_s\\ndoor,open,10,20\\ndoor,shut,31,\\n")
        >>> [(example.state, example.start_s, example.end_s) for example in moments_in_table("moments.csv")]
        [('open', 10.0, 20.0), ('shut', 31.0, 31.0)]
    """
    found = []
    for row in csv_rows(Path(table), "stream", "text", "start_s"):
        start_s = row.number("start_s") or 0.0
        try:
            found.append(Example(row.text("text"), row.text("stream"), start_s, row.number("end_s", start_s)))
        except InputError as problem:
            raise row.error(problem) from problem
    return found
