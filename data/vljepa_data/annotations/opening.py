"""Opens what `--data` names: a published data set in a folder (`NAME=DIR`), or an annotation file of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vljepa_data.annotations.data_folder import DataFolder, FileMissingError
from vljepa_data.annotations.data_set import TASK_PROMPTS, DataSet, Part
from vljepa_data.annotations.formats import read_annotations
from vljepa_data.annotations.records import Contrast, Item, is_there, segments_of
from vljepa_data.annotations.sets.table import DATA_SETS, DataForm, PartForm
from vljepa_data.annotations.vocabulary import Vocabulary
from vljepa_data.errors import AnnotationError

__all__ = ["OWN", "name_of", "open_data"]

OWN = "own"
"""Name of an annotation file that is given without one."""


def open_data(
    spec: str,
    *,
    limit: int | None = None,
    prompts: Mapping[str, str] | None = None,
    labels: str | Path | None = None,
    templates: str | Path | None = None,
    format: str = "auto",
    videos: str | Path | None = None,
    split: str | None = None,
    progress: Callable[[float, str], None] = lambda share, what: None,
) -> DataSet:
    """Read a data set, without its videos.

    Args:
        spec: `NAME=DIR`, a key of DATA_SETS and the folder that it was unpacked into; `NAME/PART=DIR` for one of its
            parts; `NAME=FILE` or `FILE`, an annotation file as `read_annotations` takes it, under a name of one's own
            or `own`.
        limit: Take so many clips (of long videos, videos), spread evenly over the list; all their texts stay.
        prompts: Other prompts by task, a key of TASK_PROMPTS or the name of a part.
        labels: See `Vocabulary.read`.
        templates: The same.
        format: Of an annotation file.
        videos: Folder of an annotation file's videos.
        split: Of an annotation file.
        progress: Called with the share read (0..1) and what is being read.

    Returns:
        The set. Of a published one, items whose video or picture is not there are left out and counted.

    Raises:
        AnnotationError: there is no such set, folder or file; a file is wrong; or no video or picture is there.

    Examples:
        >>> from vljepa_data.annotations import DATA_SETS, open_data
        >>> own = open_data("clips.csv", prompts={"labels": "What happens?"})
        >>> own.name, [(part.name, part.prompt, len(part.items)) for part in own.parts]
        ('own', [('labels', 'What happens?', 2), ('retrieval', 'Describe this video in one sentence.', 2)])
        >>> len(open_data("mine=clips.csv", limit=1).segments())
        1
        >>> open_data("pope=nowhere")
        Traceback (most recent call last):
        vljepa_data.errors.AnnotationError: expected a folder with a data set at nowhere, found nothing there
        >>> DATA_SETS["pope"].files
        'coco_pope_random.json, coco_pope_popular.json, coco_pope_adversarial.json'
    """
    if limit is not None and limit < 1:
        raise AnnotationError(f"expected a limit of at least 1 clip, got {limit}")
    named, path = _named(spec)
    name, _, part = named.partition("/")
    if name in DATA_SETS and not path.is_file():
        if videos or split or format != "auto":
            raise AnnotationError(
                f"expected a format, videos or split with an annotation file alone, not with {spec}"
            )
        found = _published(name, _only(name, part), path, progress)
    else:
        found = DataSet.of(named, read_annotations(path, format=format, videos=videos, split=split))
    parts = tuple(replace(part, items=_limited(part, limit)) for part in found.parts)
    return replace(
        found, parts=_prompted(named, parts, prompts or {}), vocabulary=Vocabulary.read(labels, templates)
    )


def name_of(spec: str) -> str:
    """What a data set is called in reports.

    Raises:
        AnnotationError: see `open_data`.
    """
    return _named(spec)[0]


def _named(spec: str) -> tuple[str, Path]:
    """Name and place; a file whose own name has a `=` is that file."""
    name, equals, place = spec.partition("=")
    if not equals or Path(spec).is_file():
        if spec in DATA_SETS and not Path(spec).is_file():
            raise AnnotationError(f"expected the folder of {spec} too: {spec}=DIR")
        if Path(spec).is_dir():
            raise AnnotationError(
                f"expected the name of the data set too, NAME={spec} with one of {', '.join(DATA_SETS)}"
            )
        return OWN, Path(spec)
    if not name or not place:
        raise AnnotationError(f"expected NAME=DIR or FILE, got {spec!r}")
    if name.partition("/")[0] not in DATA_SETS and not Path(place).is_file():
        raise AnnotationError(
            f"expected a data set among {', '.join(DATA_SETS)}, or an annotation file, got {name!r} and {place}"
        )
    return name, Path(place)


def _only(name: str, part: str) -> DataForm:
    """A published set, or one of its parts."""
    form = DATA_SETS[name]
    if not part:
        return form
    kept = tuple(each for each in form.parts if each.name == part)
    if not kept:
        known = ", ".join(f"{name}/{each.name}" for each in form.parts)
        raise AnnotationError(f"expected a part among {known}, got {name}/{part}")
    return replace(form, parts=kept)


def _published(name: str, form: DataForm, path: Path, progress: Callable[[float, str], None]) -> DataSet:
    """Its parts, as far as their files, videos and pictures are there; one part at least."""
    folder, known = DataFolder(path), dict[Path, bool]()
    read: dict[str, tuple[Item, ...]] = {}
    parts, absent = [], list[FileMissingError]()
    for number, part in enumerate(form.parts):
        progress(number / len(form.parts), f"reading {name}")
        try:
            if part.reads not in read:
                read[part.reads] = tuple(part.read(folder))
        except FileMissingError as error:
            absent.append(error)
            continue
        parts.append(_present(form, part, read[part.reads], path, known))
    if not parts:
        raise absent[0]
    progress(1.0, f"reading {name}")
    return DataSet(name=name, parts=tuple(parts), published=True)


def _present(
    form: DataForm, part: PartForm, items: tuple[Item, ...], path: Path, known: dict[Path, bool]
) -> Part:
    """A part without the items whose videos or pictures are not there; texts can be compared without theirs."""
    if not items:
        raise AnnotationError(
            f"{path}: expected at least one entry for {part.name} in {form.files}, got none"
        )
    there = tuple(item for item in items if isinstance(item, Contrast) or is_there(item, known))
    if not there:
        raise AnnotationError(
            f"{path}: expected the videos or pictures of {form.title} in this folder or below it, such as "
            f"{segments_of(items[0])[0].path.name}, found none of {len(items)}"
        )
    missing, prompt = len(items) - len(there), TASK_PROMPTS[part.task]
    return Part(name=part.name, task=part.task, items=there, prompt=prompt, missing=missing)


def _limited(part: Part, limit: int | None) -> tuple[Item, ...]:
    """All items of so many clips; of videos for tasks that look at whole ones."""
    whole = part.task in ("moments", "streaming")
    keys = [segments_of(item)[0].path if whole else segments_of(item) for item in part.items]
    clips = list(dict.fromkeys(keys))
    if limit is None or limit >= len(clips):
        return part.items
    kept = {clips[number * len(clips) // limit] for number in range(limit)}
    return tuple(item for item, key in zip(part.items, keys) if key in kept)


def _prompted(name: str, parts: Sequence[Part], prompts: Mapping[str, str]) -> tuple[Part, ...]:
    """The parts with other prompts."""
    names = {part.name for part in parts} | {part.task for part in parts}
    if wrong := sorted(set(prompts) - set(TASK_PROMPTS) - names):
        raise AnnotationError(
            f"expected a prompt for a task among {', '.join(sorted(names))} of {name}, got {', '.join(wrong)}"
        )
    return tuple(
        replace(part, prompt=prompts.get(part.name, prompts.get(part.task, part.prompt))) for part in parts
    )
