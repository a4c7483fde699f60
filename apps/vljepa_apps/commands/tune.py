"""`vljepa tune`: the cheapest settings that run a bundle on this device as it is wanted, as a profile for `run`."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps import arguments, console, tables
from vljepa_apps.outputs import refuse_existing
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from vljepa_apps.measure.tune.report import Tuned
    from vljepa_apps.measure.tune.sensitivity import Expected
    from vljepa_runtime import DeviceProfile

FPS, MAX_DROP, SECONDS = 1.0, 0.5, 60.0
MOST_FPS = 1000.0
PER_MINUTE = {
    "s": 60.0,
    "sec": 60.0,
    "min": 1.0,
    "m": 1.0,
    "h": 1 / 60,
    "hour": 1 / 60,
    "d": 1 / 1440,
    "day": 1 / 1440,
}

EXAMPLE = "vljepa tune tiny --fps 5 --max-ms 150 && vljepa run tiny clip.mp4 --profile profile.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "bundles",
        metavar="BUNDLE",
        nargs="+",
        help="a .vljepa folder or file, or `tiny`, the shipped one; several of one checkpoint are tried against each "
        "other",
    )
    _add_targets(parser)
    _add_search(parser)
    group = parser.add_argument_group("how often words are made, from a recording without labels")
    group.add_argument(
        "--select", metavar="SOURCE", help="find how sensitive selection has to be on this recording"
    )
    group.add_argument(
        "--budget", type=budget, metavar="N/min", help="segments that are wanted, such as 6/min or 20/h"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("profile.json"),
        metavar="FILE",
        help="the profile (default: profile.json); --select alone adds to one that exists",
    )
    parser.add_argument("--png", type=Path, metavar="FILE", help="also draw latency against what was lost")
    parser.add_argument("--force", action="store_true", help="replace output files that exist")
    arguments.add_json(parser)


def _add_targets(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what has to be kept")
    group.add_argument(
        "--fps", type=rate, metavar="N", help=f"windows a second that each stream gets (default {FPS:g})"
    )
    group.add_argument(
        "--max-ms",
        type=arguments.positive,
        metavar="MS",
        help="p95 from a window's last frame to when all that it gives was told (default: until the next window)",
    )
    group.add_argument(
        "--max-drop",
        type=arguments.non_negative,
        metavar="POINTS",
        help=f"accuracy that may be lost against the most exact way (default {MAX_DROP:g})",
    )
    arguments.add_number(group, "--streams", 1, "streams side by side")


def _add_search(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is tried, and on what")
    group.add_argument("--source", metavar="FILE", help="recording to run on (default: a procedural stream)")
    group.add_argument(
        "--seconds", type=arguments.positive, metavar="S",
        help=f"of a recording at most (default: {SECONDS:g} of --source, all of --select)",
    )  # fmt: skip
    group.add_argument(
        "--query", action="append", default=[], metavar="Q", help="ask Q of every window; may be repeated"
    )
    arguments.add_labels(group, what="a possible answer, as `run` takes it")
    group.add_argument(
        "--decode", choices=("auto", "never"), default="auto", help="whether words are made (default: auto)"
    )
    group.add_argument(
        "--engine", action="append", default=[], metavar="E", help="try this engine alone; may be repeated"
    )
    group.add_argument(
        "--threads", action="append", default=[], type=arguments.positive_int, metavar="N",
        help="try so many threads alone; may be repeated",
    )  # fmt: skip
    group.add_argument(
        "--tokens", action="append", default=[], type=tokens, metavar="POLICY",
        help="try this token policy alone; may be repeated",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Search, choose, write the profile; exit code 1 when nothing that was tried keeps what is wanted."""
    from vljepa_apps.measure.figures import require_matplotlib

    if (args.select is None) != (args.budget is None):
        raise InputError(
            "--select and --budget belong together: a recording, and how many segments are wanted of it"
        )
    targets = (args.fps, args.max_ms, args.max_drop)
    searches = args.select is None or any(each is not None for each in targets)
    adds = not searches and args.out.exists()
    inputs = (*args.bundles, args.source, args.select)
    refuse_existing([args.out, args.png], force=args.force, kept=[args.out] if adds else (), inputs=inputs)
    if args.png:
        require_matplotlib()
    found = _search(args) if searches else None
    profile = found.profile if found is not None else _profile(args, adds=adds)
    expected = None
    if profile is not None and args.select is not None:
        profile, expected = _selected(args, profile, bundle=_chosen_bundle(args, found))
    if profile is not None:
        profile.save(args.out)
    if found is not None and args.png:
        from vljepa_apps.measure.tune.report import draw

        draw(found, args.png)
    console.report(
        _document(args, profile, found, expected),
        lambda: _text(args, profile, found, expected),
        as_json=args.json,
    )
    return 1 if profile is None else 0


def _search(args: argparse.Namespace) -> Tuned:
    from vljepa_apps.measure.tune.kept import kept_path
    from vljepa_apps.measure.tune.run import Plan, tune
    from vljepa_apps.measure.tune.trials import Targets
    from vljepa_runtime.sources import resolve

    if args.source is not None and not isinstance(resolve(args.source), Path):
        raise InputError(
            f"expected a recording that can be run again and again, got {args.source}: name a file"
        )
    fps = args.fps or FPS
    targets = Targets(
        fps=fps,
        max_ms=args.max_ms or 1000 / fps,
        max_drop=MAX_DROP if args.max_drop is None else args.max_drop,
        streams=args.streams,
    )
    plan = Plan(
        bundles=tuple(args.bundles),
        targets=targets,
        source=args.source,
        seconds=args.seconds or SECONDS,
        queries=tuple(args.query),
        labels=arguments.texts_from(args.label, args.labels),
        decode=args.decode,
        engines=tuple(args.engine),
        threads=tuple(args.threads),
        tokens=tuple(args.tokens),
    )
    return tune(plan, kept_path(args.out))


def _profile(args: argparse.Namespace, *, adds: bool) -> DeviceProfile:
    """The profile that selection is added to: one that exists, or how `run` goes without one."""
    from vljepa_runtime import Bundle, DeviceProfile
    from vljepa_runtime.bundle import fingerprint_of

    if len(args.bundles) > 1:
        raise InputError("expected one bundle with --select alone: several are tried with --fps or --max-ms")
    with Bundle.open(args.bundles[0]) as bundle:
        if adds:
            profile = DeviceProfile.read(args.out)
            profile.require(bundle.manifest)
            return profile
        return DeviceProfile(bundle=bundle.manifest.name, fingerprint=fingerprint_of(bundle.manifest))


def _chosen_bundle(args: argparse.Namespace, found: Tuned | None) -> str:
    chosen = None if found is None else found.outcome.chosen
    bundle: str = args.bundles[0] if chosen is None else chosen.candidate.runtime.bundle
    return bundle


def _selected(
    args: argparse.Namespace, profile: DeviceProfile, *, bundle: str
) -> tuple[DeviceProfile, Expected]:
    """The profile with its selection, and what to expect of that."""
    import vljepa_runtime as vj
    from vljepa_apps.measure.tune.sensitivity import find_sensitivity

    if len(args.query) > 1:
        raise InputError("expected one --query with --select: selection is tuned for one")
    model = vj.load(bundle, engine=profile.engine, threads=profile.threads)
    with console.Progress("watching") as progress:
        expected = find_sensitivity(
            model,
            args.select,
            profile,
            per_minute=args.budget,
            query=args.query[0] if args.query else None,
            seconds=args.seconds,
            on_time=lambda time_s: progress.update(time_s, f"{console.duration(time_s)} of {args.select}"),
        )
    return replace(profile, selection=expected.selection), expected


def _document(
    args: argparse.Namespace, profile: DeviceProfile | None, found: Tuned | None, expected: Expected | None
) -> dict[str, Any]:
    from vljepa_runtime.files import plain

    return {
        "profile": None if profile is None else plain(profile),
        "wrote": None if profile is None else str(args.out),
        "search": None if found is None else found.to_dict(),
        "selection": None if expected is None else expected.to_dict(),
    }


def _text(
    args: argparse.Namespace, profile: DeviceProfile | None, found: Tuned | None, expected: Expected | None
) -> str:
    """All of it, for people."""
    from vljepa_apps.measure.tune import report, sensitivity

    lines = []
    if found is not None:
        lines += [
            tables.text(report.tables(found)),
            "",
            report.summary(found),
            *_rate_lines(found),
            *found.advice(),
        ]
    if expected is not None:
        lines += sensitivity.told(expected)
    if profile is not None:
        bundle = _chosen_bundle(args, found)
        lines.append(f"wrote {args.out}; next: vljepa run {bundle} SOURCE --profile {args.out}")
    return "\n".join(lines)


def _rate_lines(found: Tuned) -> list[str]:
    """What is to be said of a window's rate, which is in whole frames of the model."""
    given, wanted = 1 / found.watched.stride_s, found.targets.fps
    if given < wanted - 1e-9:
        told = f"a stream gives {given:g} windows a second at most: the speed for {wanted:g} is kept"
        return [f"the model looks at {given:g} frames a second, so {told}"]
    return (
        [f"a window comes {given:g} times a second, in step with the model's frames"]
        if given > wanted + 1e-9
        else []
    )


def rate(text: str) -> float:
    """A number of windows a second, for argparse."""
    value = arguments.positive(text)
    if not 1 / 3600 <= value <= MOST_FPS:
        raise argparse.ArgumentTypeError(
            f"expected from 1/3600 to {MOST_FPS:g} windows a second, got {text!r}"
        )
    return value


def budget(text: str) -> float:
    """`6/min` or `20/h` as segments a minute, for argparse."""
    found = re.fullmatch(r"\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*/\s*([a-z]+)\s*", text)
    if not found or found[2] not in PER_MINUTE:
        raise argparse.ArgumentTypeError(f"expected a rate such as 6/min or 20/h, got {text!r}")
    return arguments.positive(found[1]) * PER_MINUTE[found[2]]


def tokens(text: str) -> str:
    """A token policy as it is written, checked, for argparse."""
    arguments.token_policy(text)
    return text.strip().lower()
