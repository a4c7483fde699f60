"""Where the demo writes: a new folder, its own from an earlier run, or any other only when told to."""

from __future__ import annotations

from pathlib import Path

from vljepa_runtime.errors import InputError
from vljepa_runtime.files import check_folder, check_output

__all__ = ["DEFAULT", "OUTPUTS", "is_stream", "prepare"]

DEFAULT = Path("demo-out")
OUTPUTS = {
    "stream": "stream.mp4",
    "video": "annotated.mp4",
    "timeline": "timeline.png",
    "events": "events.jsonl",
    "report": "report.json",
}


def prepare(folder: Path, *, source: object, force: bool) -> dict[str, Path]:
    """Make the folder ready and name the files in it; what an earlier demo left there goes.

    Args:
        folder: To write to; made when missing.
        source: What the demo is to read; as a path it must not be one of the files that go.
        force: Allow a folder that holds anything.

    Returns:
        The path of each output, by what it is.

    Raises:
        InputError: the folder is in use, is a file, or holds the source.
    """
    paths = {name: folder / file for name, file in OUTPUTS.items()}
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: name a folder with --out")
    if isinstance(source, Path) and any(_same(path, source) for path in paths.values()):
        raise InputError(
            f"{source} would be replaced by this demo's own output: choose another folder with --out"
        )
    there = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    if there and not force and not (_is_default(folder) and there <= {*OUTPUTS.values()}):
        raise InputError(f"{folder} exists and is not empty: choose another --out or pass --force")
    try:
        check_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for path in paths.values():
            check_output(path, overwrite=True)  # neither a link nor a device of that name is touched
        for path in paths.values():
            path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from error
    return paths


def is_stream(path: Path) -> bool:
    """Whether a file is the stream that a demo wrote, with its report beside it."""
    return path.name == OUTPUTS["stream"] and path.with_name(OUTPUTS["report"]).is_file()


def _is_default(folder: Path) -> bool:
    return folder.resolve() == DEFAULT.resolve()


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)
