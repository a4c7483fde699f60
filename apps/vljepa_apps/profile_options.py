"""--profile: options that are not given are what `vljepa tune` found for this bundle on this device."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps import console

if TYPE_CHECKING:
    from vljepa_runtime import DeviceProfile, Model

__all__ = [
    "PROFILE_HELP",
    "add_profile",
    "read_profile",
    "select_by_profile",
    "session_options",
    "take_profile",
    "tell_device",
]

PROFILE_HELP = "what vljepa tune found for this bundle on this device"
FIELDS = {  # options that a profile answers -> what of it
    "engine": "engine",
    "threads": "threads",
    "stride": "stride_s",
    "tokens": "tokens",
    "carry": "carry_s",
    "decode": "decode",
}


def add_profile(parser: argparse.ArgumentParser, **more: object) -> None:
    """--profile, after the options that it answers.

    Args:
        parser: Of a command.
        more: Settings that the command has no option for, by their options' names, as they are without a profile.
    """
    parser.add_argument(
        "--profile",
        type=Path,
        metavar="FILE",
        help=f"{PROFILE_HELP}; an option that is given counts more",
    )
    known = {action.dest for action in parser._actions}
    usual = {name: parser.get_default(name) for name in FIELDS if name in known} | more
    parser.set_defaults(**dict.fromkeys(usual), usual=usual)


def take_profile(args: argparse.Namespace) -> DeviceProfile | None:
    """Read --profile, and fill in options that were not given: from it, or without one with their usual values.

    Raises:
        InputError: the profile cannot be read, or is of another bundle.
    """
    profile = None if args.profile is None else read_profile(args.profile, bundle=args.bundle)
    for name, usual in args.usual.items():
        if getattr(args, name) is None:
            setattr(args, name, usual if profile is None else getattr(profile, FIELDS[name]))
    return profile


def read_profile(path: Path, *, bundle: str) -> DeviceProfile:
    """The profile of a file.

    Raises:
        InputError: it cannot be read, or is of another bundle.
    """
    from vljepa_runtime import Bundle, DeviceProfile

    profile = DeviceProfile.read(path)
    with Bundle.open(bundle) as opened:
        profile.require(opened.manifest)
    return profile


def tell_device(profile: DeviceProfile, engine: str) -> None:
    """Warn where a profile was tuned on another device than this, on which an engine runs."""
    from vljepa_apps.measure.machine import device_facts

    if told := profile.other_device(device_facts(engine)):
        console.note(f"warning: {told}")


def select_by_profile(args: argparse.Namespace, profile: DeviceProfile | None, model: Model) -> None:
    """Say where the profile was tuned on another device, and let it select where nothing else was asked for.

    Raises:
        InputError: its selection goes by a network that the model has not.
    """
    if profile is None:
        return
    tell_device(profile, model.engine_name)
    others = ("select", "label", "labels", "states")
    if profile.selection is None or any(getattr(args, name, None) for name in others):
        return
    if (getattr(args, "query", None) or [model.prompts.get("caption")]) != [profile.selection.query]:
        console.note(
            f"note: the profile's selection was tuned for the query {profile.selection.query!r} and is left out"
        )
        return
    args.select = profile.selection.policy(model, stride_s=args.stride)


def session_options(args: argparse.Namespace) -> dict[str, Any]:
    """What a session is made with by a command that asks the caption's query."""
    names = {"select": "select", "stride": "stride_s", "tokens": "tokens", "carry": "carry_s"}
    return {name: getattr(args, option) for option, name in names.items()}
