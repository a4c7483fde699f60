"""`vljepa bench`: one bundle on this machine, alone or beside others in turns: graphs, a window, a stream."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_apps import arguments, console, tables
from vljepa_apps.outputs import refuse_existing
from vljepa_apps.profile_options import add_profile, select_by_profile, session_options, take_profile
from vljepa_runtime.errors import InputError, VljepaError

if TYPE_CHECKING:
    from vljepa_apps.measure.bench import Benchmark
    from vljepa_runtime import Model

SECONDS = 60.0
ROUNDS = 100
BESIDE = ("full_size", "checkpoint", "peer_python", "markdown", "png")

EXAMPLE = "vljepa bench tiny --source clip.mp4"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    arguments.add_bundle(parser, optional=True)
    parser.add_argument(
        "--source",
        metavar="FILE",
        help="video to run on (default: a stream of the procedural world as an H.264 file)",
    )
    arguments.add_number(parser, "--seconds", SECONDS, "of that stream", kind=arguments.positive, metavar="S")
    arguments.add_tokens(parser)
    parser.add_argument(
        "--rounds",
        type=arguments.positive_int,
        metavar="N",
        help=f"timed runs per cell (default {ROUNDS}, 40 beside peers)",
    )
    _add_beside(parser)
    arguments.add_json(parser)
    arguments.add_engine(parser)
    add_profile(parser, stride=1.0, decode="auto")
    parser.set_defaults(select=None)


def _add_beside(parser: argparse.ArgumentParser) -> None:
    from vljepa_apps.measure.peers.table import PEERS

    group = parser.add_argument_group("side by side")
    group.add_argument(
        "--against",
        metavar="all|NAME,NAME",
        help="measure the same networks beside it as others run them, in turns: torch, torch.compile, ONNX Runtime, "
        "OpenVINO, NNCF, on CUDA too where there is a GPU; what is not installed is a line that says so; of "
        + ", ".join(peer.name for peer in PEERS),
    )
    group.add_argument(
        "--checkpoint",
        type=Path,
        metavar="DIR",
        help="the networks of the bundle (default: the shipped ones)",
    )
    group.add_argument(
        "--full-size",
        action="store_true",
        help="measure a part of the published sizes too: whole width, few layers, random weights",
    )
    group.add_argument(
        "--peer-python",
        action="append",
        metavar="NAME=PYTHON",
        help="run a peer with the interpreter of an environment of its own",
    )
    group.add_argument("--markdown", type=Path, metavar="FILE", help="also write it as a page")
    group.add_argument("--png", type=Path, metavar="FILE", help="also draw it, for the page too")
    group.add_argument("--force", action="store_true", help="replace output files that exist")


def run(args: argparse.Namespace) -> int:
    """Print latency per graph and the shares of a stream's time; exit code 1 when a graph cannot be timed."""
    from vljepa_apps.measure import bench
    from vljepa_apps.measure.subject import Subject

    profile = take_profile(args)
    _check(args)
    model = arguments.load_model(args)
    select_by_profile(args, profile, model)
    subject = Subject(spec=args.bundle, **arguments.engine_options(args))
    found = bench.bench(
        model,
        subject,
        source=args.source,
        seconds=args.seconds,
        rounds=0 if args.against else args.rounds or ROUNDS,
        options={**session_options(args), "decode": args.decode},
    )
    if args.against:
        return _beside(args, model, found)
    console.report(
        found.to_dict(),
        lambda: f"{tables.text(bench.tables(found))}\n  {bench.summary(found.stream)}",
        as_json=args.json,
    )
    return 1 if found.failed else 0


def _check(args: argparse.Namespace) -> None:
    """Whether the options go together, and what is written can be: before any work."""
    from vljepa_apps.measure.baselines.table import kind_of
    from vljepa_apps.measure.figures import require_matplotlib
    from vljepa_apps.measure.peers.table import chosen
    from vljepa_runtime import parse_tokens

    if kind_of(args.bundle):
        raise InputError(
            f"expected a bundle, got {args.bundle}: vljepa compare {args.bundle} --tasks none times a line of its kind"
        )
    if not args.against:
        if alone := [name for name in (*BESIDE, "force") if getattr(args, name)]:
            raise InputError(
                f"expected --against with --{alone[0].replace('_', '-')}: all, or names of peers"
            )
        return
    if args.carry or args.tokens not in ("all", parse_tokens("all")):
        raise InputError("expected no --tokens and no --carry with --against: peers encode whole windows")
    chosen(args.against)
    _pythons(args)
    _checkpoint(args)
    refuse_existing(
        [args.markdown, args.png], force=args.force, inputs=[args.bundle, args.source, args.profile]
    )
    if args.png:
        require_matplotlib()


def _beside(args: argparse.Namespace, model: Model, stream: Benchmark) -> int:
    """Measure side by side, print it, write page and picture; exit code 1 when nothing else could be measured."""
    from vljepa_apps.measure import bench
    from vljepa_apps.measure.peers.table import chosen
    from vljepa_apps.measure.side_by_side.page import page, side_tables
    from vljepa_apps.measure.side_by_side.picture import draw
    from vljepa_apps.measure.side_by_side.run import Plan, side_by_side
    from vljepa_apps.measure.side_by_side.subjects import ROUNDS, full_size, of_bundle
    from vljepa_runtime.files import replace_file
    from vljepa_runtime.printable import printable

    peers, rounds = chosen(args.against), args.rounds or ROUNDS
    plan = Plan(command=_command(args), threads=args.threads, pythons=_pythons(args))
    with tempfile.TemporaryDirectory() as folder:
        subjects = [
            of_bundle(
                model,
                args.bundle,
                engine=args.engine,
                checkpoint=_checkpoint(args),
                peers=peers,
                rounds=rounds,
            )
        ]
        if args.full_size:
            subjects.append(full_size(Path(folder) / "full-size", peers, rounds=rounds))
        found = side_by_side(subjects, plan)
    console.report(
        {**stream.to_dict(), "side_by_side": found.to_dict()},
        lambda: (
            f"{tables.text([*side_tables(found), *bench.tables(stream)])}\n  {bench.summary(stream.stream)}"
        ),
        as_json=args.json,
    )
    if args.png:
        draw(found, args.png)
    if args.markdown:
        picture = os.path.relpath(args.png, args.markdown.parent) if args.png else ""
        replace_file(args.markdown, printable(page(found, stream, picture=picture), lines=True).encode())
    return 1 if found.failed else 0


def _checkpoint(args: argparse.Namespace) -> Path:
    """The networks that the bundle was exported from.

    Raises:
        InputError: nobody says where they are.
        CheckpointError: they are not there.
    """
    from vljepa_model.shipped import checkpoint_folder

    if args.checkpoint:
        return checkpoint_folder(args.checkpoint)
    try:
        return checkpoint_folder(args.bundle)
    except VljepaError as error:
        raise InputError(
            f"expected --checkpoint DIR with --against: the networks that {args.bundle} was exported from"
        ) from error


def _pythons(args: argparse.Namespace) -> Mapping[str, str]:
    """Interpreters by peer.

    Raises:
        InputError: one is not named as NAME=PYTHON, or is not there.
    """
    from vljepa_apps.measure.peers.table import chosen

    found: dict[str, str] = {}
    for given in args.peer_python or ():
        name, separator, python = given.partition("=")
        if not separator or shutil.which(python) is None:
            raise InputError(f"expected --peer-python NAME=PYTHON with an interpreter, got {given!r}")
        chosen(name)
        found[name] = python
    return found


def _command(args: argparse.Namespace) -> str:
    """What measures it again."""
    words = ["vljepa", "bench", args.bundle, "--against", args.against]
    for name in ("checkpoint", "source", "profile", "markdown", "png"):
        if value := getattr(args, name):
            words += [f"--{name}", str(value)]
    if args.engine != "auto":
        words += ["--engine", args.engine]
    if args.seconds != SECONDS:
        words += ["--seconds", f"{args.seconds:g}"]
    for name in ("rounds", "threads"):
        if value := getattr(args, name):
            words += [f"--{name}", str(value)]
    words += [word for each in args.peer_python or () for word in ("--peer-python", each)]
    words += [f"--{name.replace('_', '-')}" for name in ("full_size", "force") if getattr(args, name)]
    return shlex.join(words)
