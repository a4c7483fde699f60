"""Arguments that several commands share, and the checks that come before anything slow."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_runtime.errors import InputError, MissingExtraError
from vljepa_runtime.files import split_lines

if TYPE_CHECKING:
    from vljepa_log import Retention
    from vljepa_runtime import Clip, Model, TokenPolicy
    from vljepa_runtime.selection import Policy

__all__ = [
    "SOURCE_HELP",
    "add_bundle",
    "add_clip",
    "add_engine",
    "add_hwaccel",
    "add_json",
    "add_labels",
    "add_log",
    "add_number",
    "add_question",
    "add_quiet",
    "add_retention",
    "add_select",
    "add_stretch",
    "add_tokens",
    "age",
    "byte_count",
    "count",
    "engine_options",
    "given",
    "load_model",
    "non_negative",
    "positive",
    "positive_int",
    "read_clip",
    "read_lines",
    "require_extra",
    "retention_of",
    "texts_from",
]

AGES = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
SIZES = {"K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
LARGEST = 1e15  # seconds or bytes: more means no limit
MAX_LABELS = 16 << 20  # bytes; the 21,841 names of ImageNet have half a megabyte
SOURCE_HELP = "video or image file, folder of images, camera index or device, rtsp:// or http:// address"


def add_bundle(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """BUNDLE, the first positional argument; the shipped one where it may be left out."""
    default: dict[str, Any] = {"nargs": "?", "default": "tiny"} if optional else {}
    what = (
        "default: tiny, the shipped one"
        if optional
        else "a .vljepa folder or file, or `tiny`, the shipped one"
    )
    parser.add_argument("bundle", metavar="BUNDLE", help=what, **default)


def add_engine(parser: argparse.ArgumentParser) -> None:
    """--engine, --threads and --allow-fallback."""
    parser.add_argument(
        "--engine",
        default="auto",
        metavar="E",
        help="auto, cpu, cuda, gpu, npu, trt, or FAMILY[:DEVICE] such as openvino:gpu (see `vljepa doctor`)",
    )
    parser.add_argument(
        "--threads", type=positive_int, metavar="N", help="threads of the engine (default: its own choice)"
    )
    parser.add_argument(
        "--allow-fallback",
        action="store_true",
        help="go on with another engine when the one named is not there",
    )


def add_clip(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """SOURCE with the part of it that is looked at."""
    nargs: dict[str, Any] = {"nargs": "?"} if optional else {}
    parser.add_argument("source", metavar="SOURCE", help=SOURCE_HELP, **nargs)
    parser.add_argument(
        "--start", type=non_negative, default=0.0, metavar="S", help="skip the first S seconds"
    )
    parser.add_argument(
        "--seconds",
        type=positive,
        metavar="S",
        help="look at S seconds (default: a whole file, one window of a camera)",
    )
    add_stretch(parser)


def add_select(parser: argparse.ArgumentParser) -> None:
    """--select."""
    from vljepa_runtime.selection import POLICY_HELP

    parser.add_argument(
        "--select",
        type=policy,
        metavar="POLICY",
        help=f"when to put meaning into words: {POLICY_HELP}",
    )


def add_stretch(parser: argparse.ArgumentParser) -> None:
    """--stretch."""
    parser.add_argument(
        "--stretch",
        action="store_true",
        help="spread each grey picture of more than 8 bits over black to white (thermal and depth files)",
    )


def add_tokens(parser: argparse.ArgumentParser) -> None:
    """--tokens and --carry, what is left undone where little changes."""
    from vljepa_runtime.preprocessing import TOKENS_HELP

    parser.add_argument(
        "--tokens",
        type=token_policy,
        default="all",
        metavar="POLICY",
        help=f"which tubelets of a window are encoded: {TOKENS_HELP}",
    )
    parser.add_argument(
        "--carry",
        type=non_negative,
        default=0.0,
        metavar="S",
        help="let a window that shows the same as one before keep its embedding, for S seconds at most (default 0: "
        "encode all)",
    )


def add_hwaccel(parser: argparse.ArgumentParser) -> None:
    """--hwaccel."""
    parser.add_argument(
        "--hwaccel",
        default="none",
        metavar="H",
        help="what decodes video files and streams: none, the processor (default); auto, the first hardware decoder "
        "that opens; or one by its name (see `vljepa doctor`)",
    )


def add_labels(parser: argparse._ActionsContainer, *, what: str) -> None:
    """--label TEXT (repeatable) and --labels FILE."""
    parser.add_argument(
        "--label", action="append", default=[], metavar="TEXT", help=f"{what}; may be repeated"
    )
    parser.add_argument("--labels", type=Path, metavar="FILE", help=f"{what}s, one on each line of FILE")


def add_question(parser: argparse.ArgumentParser) -> None:
    """QUESTION, possible answers, and how many of them are shown; `vljepa_apps.answers` prints them."""
    parser.add_argument("question", metavar="QUESTION", help="for example 'What colour is the ball?'")
    add_labels(parser, what="a possible answer")
    add_number(parser, "--top", 5, "answers to print", metavar="K")


def add_retention(parser: argparse.ArgumentParser) -> None:
    """--keep, --max-size and --thin-after: how long a log keeps what."""
    group = parser.add_argument_group("how long the log keeps what (default: everything for ever)")
    group.add_argument("--keep", type=age, metavar="AGE", help="remove what is older, such as 30d, 12h or 2w")
    group.add_argument(
        "--max-size",
        type=byte_count,
        metavar="SIZE",
        help="remove the oldest above this, such as 2GB or 500MB",
    )
    group.add_argument(
        "--thin-after", type=age, metavar="AGE",
        help="of what is older, keep one window of those in a row that say the same",
    )  # fmt: skip


def retention_of(args: argparse.Namespace) -> Retention | None:
    """What `add_retention` declared; None where none of it was given."""
    from vljepa_log import Retention

    if args.keep is args.max_size is args.thin_after is None:
        return None
    return Retention(max_age_s=args.keep, max_bytes=args.max_size, thin_after_s=args.thin_after)


def age(text: str) -> float:
    """A length of time such as `30d` in seconds, for argparse."""
    return _with_unit(text, AGES, "an age such as 30d, 12h, 90m or 2w")


def byte_count(text: str) -> int:
    """A size such as `2GB` in bytes (powers of 1000, as disks are sold), for argparse."""
    return max(
        1, round(_with_unit(text.upper().removesuffix("B"), SIZES, "a size such as 2GB or 500MB", said=text))
    )


def _with_unit(text: str, units: Mapping[str, float], what: str, *, said: str | None = None) -> float:
    """A number above 0 and its unit."""
    number, unit = text[:-1], text[-1:]
    with suppress(ValueError):
        if unit in units and 0 < (value := float(number) * units[unit]) < LARGEST:
            return value
    raise argparse.ArgumentTypeError(f"expected {what}, got {(said or text)!r}")


def add_log(parser: argparse.ArgumentParser, *, query: bool = True) -> None:
    """LOG, --stream, --bundle, which has to be of the model that wrote it, and where wanted --query."""
    parser.add_argument("log", metavar="LOG", help="folder of a log, or address of another store")
    parser.add_argument(
        "--stream", action="append", default=[], metavar="S", help="of this stream; may be repeated"
    )
    parser.add_argument(
        "--bundle", default="tiny", metavar="BUNDLE", help="that wrote the log (default: tiny)"
    )
    if query:
        parser.add_argument(
            "--query", metavar="Q", help="only what answers Q (default: whatever the log was asked)"
        )


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json."""
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """--quiet."""
    parser.add_argument(
        "--quiet", action="store_true", help="no notes on stderr; warnings and errors come all the same"
    )


def add_number(
    parser: argparse._ActionsContainer,
    flag: str,
    default: float,
    what: str,
    *,
    kind: Callable[[str], float] | None = None,
    metavar: str = "N",
) -> None:
    """A flag with a number that has a default, which the help tells; `kind` None takes whole numbers above 0."""
    text = f"{what} (default {default:g})"
    parser.add_argument(flag, type=kind or positive_int, default=default, metavar=metavar, help=text)


def positive(text: str) -> float:
    """A number above 0, for argparse."""
    value = non_negative(text)
    if value == 0:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def non_negative(text: str) -> float:
    """A finite number of at least 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of at least 0, got {text!r}")
    return value


def positive_int(text: str) -> int:
    """A whole number above 0, for argparse."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def count(text: str) -> int:
    """A whole number, 0 allowed, for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, got {text!r}")
    return int(text)


def policy(text: str) -> Policy:
    """A selection policy, its own message kept, for argparse."""
    from vljepa_runtime.selection import parse_policy

    try:
        return parse_policy(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def token_policy(text: str) -> TokenPolicy:
    """A token policy, its own message kept, for argparse."""
    from vljepa_runtime import parse_tokens

    try:
        return parse_tokens(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def given(args: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Those of the options that were given; the others leave what a run that exists was begun with."""
    return {name: value for name in names if (value := getattr(args, name)) is not None}


def require_extra(extra: str, *packages: str) -> None:
    """Say which extra is missing before a later import does.

    Raises:
        MissingExtraError: one of the packages that the extra brings is not installed.
    """
    for package in packages:
        if find_spec(package) is None:
            raise MissingExtraError(package, extra)


def load_model(args: argparse.Namespace) -> Model:
    """The model that BUNDLE, --engine, --threads and --allow-fallback name."""
    import vljepa_runtime as vj

    return vj.load(args.bundle, **engine_options(args))


def engine_options(args: argparse.Namespace) -> dict[str, Any]:
    """--engine, --threads and --allow-fallback, as `vj.load` takes them."""
    return {"engine": args.engine, "threads": args.threads, "allow_fallback": args.allow_fallback}


def read_clip(args: argparse.Namespace, model: Model) -> Clip:
    """The clip that SOURCE, --start and --seconds name, as the model's preprocessing takes it."""
    from vljepa_apps import console

    return model.read_clip(
        args.source,
        start_s=args.start,
        seconds=args.seconds,
        stretch=args.stretch,
        on_warning=console.note,
    )


def read_lines(path: Path) -> list[str]:
    """The non-empty lines of a UTF-8 text file.

    Raises:
        InputError: the file is not there, is not text or has no line.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_LABELS + 1)
        if len(content) > MAX_LABELS:
            raise InputError(f"expected a text file of at most {MAX_LABELS >> 20} MiB, {path} has more")
        lines = [line.strip() for line in split_lines(content.decode("utf-8-sig"))]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"expected a UTF-8 text file with one entry a line, cannot read {path}: {error}"
        ) from error
    if not (kept := [line for line in lines if line]):
        raise InputError(f"expected one entry a line in {path}, got an empty file")
    return kept


def texts_from(values: Sequence[str], file: Path | None) -> tuple[str, ...]:
    """What --label and --labels named, in order, each once."""
    return tuple(dict.fromkeys([*values, *(read_lines(file) if file else ())]))
