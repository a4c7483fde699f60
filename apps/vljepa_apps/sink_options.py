"""Receivers behind a network as commands take them, and where events wait for those that are away."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps import arguments, console
from vljepa_runtime.errors import InputError
from vljepa_runtime.sinks import NETWORK_SINKS

if TYPE_CHECKING:
    from vljepa_runtime.sinks import NetworkSink, SinkState

__all__ = ["add_network_sinks", "network_sinks_from"]


def add_network_sinks(parser: argparse.ArgumentParser) -> None:
    """An option for each row of `NETWORK_SINKS`, and what belongs to them."""
    group = parser.add_argument_group(
        "network",
        "receivers that may be away: events wait on disk and are delivered in order; env:NAME or file:PATH for an "
        "address or secret that stands there",
    )
    for form in NETWORK_SINKS:
        group.add_argument(
            f"--{form.option}",
            action="append",
            default=[],
            metavar=form.metavar,
            help=f"{form.help}; may be repeated",
        )
    group.add_argument("--webhook-secret", metavar="env:NAME", help="sign each request with it (HMAC-SHA256)")
    arguments.add_number(group, "--webhook-batch", 1, "events of a request; with more than 1, it has a list")
    group.add_argument(
        "--outbox",
        type=Path,
        metavar="DIR",
        help="where events wait for their receivers (default: ~/.local/state/vljepa/outbox)",
    )


def network_sinks_from(args: argparse.Namespace) -> list[NetworkSink]:
    """The receivers that the options name, all or none; what becomes of them is told on stderr."""
    own: dict[str, dict[str, Any]] = {"webhook": {"secret": args.webhook_secret, "batch": args.webhook_batch}}
    with ExitStack() as opened:
        sinks = [
            opened.enter_context(
                form.open(
                    address,
                    outbox=args.outbox or _default_outbox(),
                    on_change=_tell,
                    **own.get(form.option, {}),
                )
            )
            for form in NETWORK_SINKS
            for address in getattr(args, form.option)
        ]
        opened.pop_all()
    return sinks


def _default_outbox() -> Path:
    try:
        return Path.home() / ".local" / "state" / "vljepa" / "outbox"
    except RuntimeError as error:
        raise InputError(
            "expected a home folder in which events wait, found none: name one with --outbox"
        ) from error


def _tell(state: SinkState) -> None:
    console.note(f"vljepa: {state.name}: {state.sentence}")
