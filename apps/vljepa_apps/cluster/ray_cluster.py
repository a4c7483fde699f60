"""A Ray cluster to work on: one that runs already, or one of this machine's cores for as long as it is needed.

Ray is kept quiet, here and by what the umbrella sets (`main.NOISE`): no dashboard, no usage statistics, no progress
bars, no log lines. What it has to say comes as one sentence.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

from vljepa_apps import arguments
from vljepa_apps.signals import ENDING
from vljepa_runtime.errors import InputError, MissingExtraError, VljepaError

__all__ = ["Cluster", "ClusterError", "Place", "add_place", "cluster", "place_of"]

RAY = "ray"
OBJECT_STORE_BYTES = 128 << 20  # of a cluster of our own; what is larger goes to its temporary files
ADDRESS = re.compile(r"(ray://)?(?P<host>[^/]+):(?P<port>\d{1,5})")
KNOCK_S = 10.0


class ClusterError(VljepaError):
    """A cluster cannot be reached, or what it was given cannot be done there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where work is done.

    Attributes:
        address: Of a cluster that runs; empty for one of this machine alone.
        workers: Processes that work at the same time; None for as many as there are cores.
        threads: Of each.
        gpus: Of each.
    """

    address: str = ""
    workers: int | None = None
    threads: int = 1
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that is connected.

    Attributes:
        ray: The library.
        place: What was asked for.
        workers: Processes that can work at the same time, at most as many as were asked for.
    """

    ray: Any
    place: Place
    workers: int


def add_place(parser: argparse.ArgumentParser) -> None:
    """--on and --workers."""
    group = parser.add_argument_group("on more than this process")
    group.add_argument(
        "--on",
        type=_place,
        metavar="ray[:ADDRESS]",
        help="share the work among the workers of a Ray cluster; without ADDRESS among cores of this machine",
    )
    group.add_argument(
        "--workers",
        type=arguments.positive_int,
        metavar="N",
        help="with --on: processes, each with a model of its own and --threads threads (default 1; as many as fit)",
    )


def place_of(args: argparse.Namespace) -> Place | None:
    """What `add_place` declared, with `--threads` and `--engine`; None where this process is to work.

    Raises:
        InputError: workers are wanted, but nowhere.
    """
    if args.on is None:
        if args.workers is not None:
            raise InputError("expected --on ray with --workers: without it this process does the work")
        return None
    gpus = int(any(word in args.engine for word in ("cuda", "gpu", "rtx", "tensorrt", "trt")))
    return Place(address=args.on, workers=args.workers, threads=args.threads or 1, gpus=gpus)


@contextmanager
def cluster(place: Place) -> Iterator[Cluster]:
    """Be connected while inside; a cluster of this machine alone ends with it.

    Raises:
        MissingExtraError: Ray is not installed.
        ClusterError: the cluster cannot be reached, or no machine of it has room for a worker.
    """
    try:
        import ray.data
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    handlers = {number: signal.getsignal(number) for number in ENDING}
    with TemporaryDirectory(prefix="vljepa-", ignore_cleanup_errors=True) as folder:
        try:
            _connect(ray, place, folder)
            _restore(handlers)
            _hush(ray)
            yield Cluster(ray, place, _workers(ray, place))
        finally:
            ray.shutdown()


def _connect(ray: Any, place: Place, folder: str) -> None:
    cores = os.cpu_count() or 1
    own = {
        "address": "local",
        "num_cpus": max(cores, (place.workers or 1) * place.threads),
        "object_store_memory": OBJECT_STORE_BYTES,
        "include_dashboard": False,
        "_temp_dir": folder,
    }
    options = {"address": place.address} if place.address else own
    try:
        if place.address:
            _knock(place.address)
        ray.init(**options, log_to_driver=False, logging_level=logging.CRITICAL)
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        where = f"at {place.address}" if place.address else "on this machine"
        raise ClusterError(
            f"no Ray cluster answers {where} ({_first_line(error)}): start one with `ray start --head`, give the "
            "address that it prints, or leave the address out for one of this machine's cores"
        ) from error


def _knock(address: str) -> None:
    """Whether anybody listens there: Ray itself waits for minutes, and ends the process."""
    found = ADDRESS.fullmatch(address)
    if found:
        socket.create_connection((found["host"].strip("[]"), int(found["port"])), timeout=KNOCK_S).close()


def _restore(handlers: dict[Any, Any]) -> None:
    """Ray takes SIGTERM for itself."""
    try:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    except ValueError:  # not the main thread: nothing was taken
        return


def _hush(ray: Any) -> None:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _workers(ray: Any, place: Place) -> int:
    """How many workers fit into the cluster as it is now."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    fit = sum(
        min(
            [int(found.get("CPU", 0) // place.threads)]
            + ([int(found.get("GPU", 0) // place.gpus)] if place.gpus else [])
        )
        for found in machines
    )
    if not fit:
        raise ClusterError(
            f"expected a machine with {place.threads} cores and {place.gpus} GPUs in the cluster for each worker, "
            f"found {len(machines)} machines, none of which has them: give fewer --threads, or another --engine"
        )
    return min(fit, place.workers or fit)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _place(text: str) -> str:
    """`ray` or `ray:ADDRESS` as the address, for argparse."""
    name, _, address = text.partition(":")
    if name != RAY:
        raise argparse.ArgumentTypeError(
            f"expected ray or ray:ADDRESS, got {text!r} (what computes is named with --engine)"
        )
    return address
