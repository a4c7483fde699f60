"""--profile: options that are not given are what `vljepa tune` found for this bundle on this device."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_apps import console

if TYPE_CHECKING:
    from vljepa_runtime import DeviceProfile, Model

__all__ = ["add_profile", "select_by_profile", "take_profile"]

FIELDS = {  # options that a profile answers -> what of it
    "engine": "engine",
    "threads": "threads",
    "stride": "stride_s",
    "tokens": "tokens",
    "carry": "carry_s",
    "decode": "decode",
}


def add_profile(parser: argparse.ArgumentParser) -> None:
    """--profile, after the options that it answers."""
    parser.add_argument(
        "--profile",
        type=Path,
        metavar="FILE",
        help="what vljepa tune found for this bundle on this device; an option that is given counts more",
    )
    known = {action.dest for action in parser._actions}
    usual = {name: parser.get_default(name) for name in FIELDS if name in known}
    parser.set_defaults(**dict.fromkeys(usual), usual=usual)


def take_profile(args: argparse.Namespace) -> DeviceProfile | None:
    """Read --profile, and fill in options that were not given: from it, or without one with their usual values.

    Raises:
        InputError: the profile cannot be read, or is of another bundle.
    """
    from vljepa_runtime import Bundle, DeviceProfile

    profile = None
    if args.profile is not None:
        profile = DeviceProfile.read(args.profile)
        with Bundle.open(args.bundle) as bundle:
            profile.require(bundle.manifest)
    for name, usual in args.usual.items():
        if getattr(args, name) is None:
            setattr(args, name, usual if profile is None else getattr(profile, FIELDS[name]))
    return profile


def select_by_profile(args: argparse.Namespace, profile: DeviceProfile | None, model: Model) -> None:
    """Say where the profile was tuned on another device, and let it select where nothing else was asked for.

    Raises:
        InputError: its selection goes by a network that the model has not.
    """
    from vljepa_apps.measure.machine import device_facts

    if profile is None:
        return
    if told := profile.other_device(device_facts(model.engine_name)):
        console.note(f"warning: {told}")
    others = ("select", "label", "labels", "states")
    if profile.selection is None or any(getattr(args, name, None) for name in others):
        return
    if (getattr(args, "query", None) or [model.prompts.get("caption")]) != [profile.selection.query]:
        console.note(
            f"note: the profile's selection was tuned for the query {profile.selection.query!r} and is left out"
        )
        return
    args.select = profile.selection.policy(model, stride_s=args.stride)
