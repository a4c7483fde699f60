"""`vljepa run`: video sources become events, one JSON line each on stdout, flushed as they happen."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_apps import alert_options, arguments, console
from vljepa_apps.outputs import Outputs, own_files, refuse_existing
from vljepa_apps.profile_options import add_profile, select_by_profile, take_profile
from vljepa_apps.scope import tell_scope
from vljepa_apps.signals import deferred
from vljepa_apps.sink_options import add_network_sinks, network_sinks_from
from vljepa_runtime.sinks import SINKS

if TYPE_CHECKING:
    from vljepa_log import LogSink
    from vljepa_runtime import Event, Model, Session, SessionGroup, SessionStats, Source, StreamStats
    from vljepa_runtime.alerts import AlertFile, ClipFolder
    from vljepa_runtime.sinks import NetworkSink

EXAMPLE = "vljepa run tiny clip.mp4 --query 'How many objects are there?' --jsonl events.jsonl"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    arguments.add_bundle(parser)
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help=f"{arguments.SOURCE_HELP}; several run side by side through one model",
    )
    parser.add_argument(
        "--query", action="append", default=[], metavar="Q", help="ask Q of every window; may be repeated"
    )
    arguments.add_labels(parser, what="an answer in your words: an event comes when the best one changes")
    parser.add_argument(
        "--min-score",
        type=float,
        metavar="COSINE",
        help="with labels: below this score (-1 to 1) none of them holds, which is an empty text",
    )
    parser.add_argument(
        "--states",
        type=Path,
        metavar="FILE",
        help="states that vljepa teach wrote: an event comes when another one holds, or it is unsure",
    )
    arguments.add_select(parser)
    arguments.add_number(
        parser, "--stride", 1.0, "seconds between windows", kind=arguments.positive, metavar="S"
    )
    arguments.add_tokens(parser)
    parser.add_argument(
        "--decode",
        choices=("auto", "always", "never"),
        default="auto",
        help="auto: what the policy picks and the model knows (default); always: the unknown too, and fail without a "
        "Y-decoder; never: embeddings only",
    )
    parser.add_argument(
        "--embeddings", action="store_true", help="put the predicted embedding into each segment and answer"
    )
    alert_options.add_alerts(parser)
    for sink in SINKS:
        help_text = sink.help if sink.shared else f"{sink.help}; of several sources, a folder for a file each"
        parser.add_argument(f"--{sink.option}", type=Path, metavar=sink.metavar, help=help_text)
    add_network_sinks(parser)
    parser.add_argument(
        "--log",
        metavar="LOG",
        help="also put embeddings, events and pictures into a log (vljepa search)",
    )
    parser.add_argument(
        "--max-seconds", type=arguments.positive, metavar="S", help="stop after S seconds of the source"
    )
    arguments.add_stretch(parser)
    arguments.add_hwaccel(parser)
    arguments.add_number(parser, "--batch", 1, "windows of several sources that go through the model at once")
    parser.add_argument("--append", action="store_true", help="go on at the end of a --jsonl that exists")
    parser.add_argument("--force", action="store_true", help="replace output files that exist")
    arguments.add_quiet(parser)
    arguments.add_engine(parser)
    add_profile(parser)
    arguments.add_retention(parser)


def run(args: argparse.Namespace) -> int:
    """Print events until all sources end, then a summary on stderr; exit code 1 when an output or a stream failed.

    A live source is ended by Ctrl-C or SIGTERM and by nothing else: then all results are written, and that is 0.
    """
    from vljepa_runtime.sources import open_source
    from vljepa_runtime.streams import stream_names

    profile = take_profile(args)
    names = stream_names(args.sources) if len(args.sources) > 1 else ()
    files = {sink.option: path for sink in SINKS if (path := getattr(args, sink.option))}
    own = _own_files(files, args.sources, names)
    kept = [files[sink.option] for sink in SINKS if args.append and sink.appends and sink.option in files]
    paths = [*files.values(), *(path for each in own.values() for path in each.values())]
    refuse_existing(
        paths, force=args.force, kept=kept, inputs=(*args.sources, args.bundle, args.states, args.profile)
    )
    labels = arguments.texts_from(args.label, args.labels)
    alerts, clips = alert_options.alerts_from(args), alert_options.clips_from(args)
    with ExitStack() as stack:
        outputs = stack.enter_context(Outputs(files, own=own, overwrite=args.force, append=args.append))
        receivers = network_sinks_from(args)
        for sink in receivers:
            outputs.add(sink)
        model = arguments.load_model(args)
        select_by_profile(args, profile, model)
        log = opened_log(args, model) if args.log else None
        if log is not None:
            outputs.add(log)
        new_session = partial(_session, args, model, labels=labels, alerts=alerts, clips=clips)
        if names:
            group = stack.enter_context(_group(args, new_session, names, outputs, log))
            _announce(receivers, names, alerts)
            _tell_what_is_missing(args, model, labels)
            if not args.quiet:
                stack.callback(lambda: conclude_all(group.stats))
            code = _run_group(group, outputs)
        else:
            (name,) = args.sources
            source = open_source(name, stretch=args.stretch, timeout_s=args.max_seconds, hwaccel=args.hwaccel)
            stack.enter_context(source)
            session = stack.enter_context(new_session())
            _announce(receivers, [source.name], alerts)
            _tell_what_is_missing(args, model, labels)
            if not args.quiet:
                stack.callback(lambda: conclude(session.stats))
            run_it = _run_live if source.live else _run_file
            code = run_it(args, source, session, outputs, log)
    lost = any(sink.state.dropped or sink.state.rejected for sink in receivers)
    return code or int(lost or outputs.failed)  # when closing them, too


def _run_live(
    args: argparse.Namespace, source: Source, session: Session, outputs: Outputs, log: LogSink | None
) -> int:
    """One camera: words are made beside its windows, so that a long sentence costs no picture."""
    from vljepa_runtime.streams import SessionGroup

    if log is not None:
        log.add_stream(args.sources[0], source)
    with SessionGroup(workers=1) as group:
        group.add(
            source,
            session,
            name=source.name,
            max_seconds=args.max_seconds,
            on_frame=outputs.frames_of(source.name),
            on_window=outputs.windows_of(source.name),
        )
        with suppress(KeyboardInterrupt):  # what there is of a camera is a result
            _write_all(group.run(), outputs, group.stop)
    for error in group.failures.values():
        raise error
    return 1 if outputs.failed else 0


def _run_file(
    args: argparse.Namespace, source: Source, session: Session, outputs: Outputs, log: LogSink | None
) -> int:
    """One file, as fast as it and the model can."""
    if log is not None:
        log.add_stream(args.sources[0], source, to_its_end=args.max_seconds is None)
    events = session.run(
        source,
        on_frame=outputs.frames_of(source.name),
        on_window=outputs.windows_of(source.name),
        max_seconds=args.max_seconds,
    )
    _write_all(events, outputs, session.stop)
    return 1 if outputs.failed else 0


def _run_group(group: SessionGroup, outputs: Outputs) -> int:
    """Several sources side by side."""
    try:
        _write_all(_with_failures(group.run()), outputs, group.stop)
    except KeyboardInterrupt:
        stats = group.stats.values()
        is_cut = any(each.state == "stopped" and each.live is False for each in stats)
        if is_cut or not any(each.live for each in stats):  # part of a file is no result, nor is nothing
            raise
    return 1 if outputs.failed or group.failures else 0


def _write_all(events: Iterator[Event], outputs: Outputs, stop: Callable[[], object]) -> None:
    """Write events, each whole; a signal meanwhile stops what gives them, and goes on when all are written."""
    for event in events:
        outputs.print(event)
        with deferred() as ending:
            outputs.write(event)
        if ending.came:  # what is pending comes yet
            stop()
    with deferred() as ending:
        ending.raise_if_came()


def _with_failures(events: Iterator[Event]) -> Iterator[Event]:
    """The same events; one that says that a stream failed is told to people, too."""
    for event in events:
        if event.kind == "error":
            console.note(f"vljepa: {event.stream}: {event.text}: this stream ends here, the others go on")
        yield event


def _session(
    args: argparse.Namespace,
    model: Model,
    *,
    labels: Sequence[str],
    alerts: AlertFile | None,
    clips: ClipFolder | None,
) -> Session:
    """The state of one stream, as the options want it."""
    return model.session(
        query=args.query or None,
        select=args.select,
        stride_s=args.stride,
        decode=args.decode,
        tokens=args.tokens,
        carry_s=args.carry,
        labels=labels or None,
        min_score=args.min_score,
        embeddings=args.embeddings,
        alerts=alert_options.check_alerts(alerts, model),
        clips=clips,
        states=args.states,
    )


def _group(
    args: argparse.Namespace,
    new_session: Callable[[], Session],
    names: Sequence[str],
    outputs: Outputs,
    log: LogSink | None,
) -> SessionGroup:
    """All streams, each with the same options."""
    from vljepa_runtime.streams import SessionGroup

    group = SessionGroup(batch=args.batch)
    for name, source in zip(names, args.sources):
        to_its_end = args.max_seconds is None
        expect = None if log is None else partial(log.add_stream, source, name=name, to_its_end=to_its_end)
        group.add(
            source,
            new_session(),
            name=name,
            max_seconds=args.max_seconds,
            stretch=args.stretch,
            hwaccel=args.hwaccel,
            on_open=expect,
            on_frame=outputs.frames_of(name),
            on_window=outputs.windows_of(name),
        )
    return group


def _announce(receivers: Sequence[NetworkSink], streams: Iterable[str], alerts: AlertFile | None) -> None:
    """Tell receivers of streams and their alerts before the first event."""
    texts = [] if alerts is None else [alert.text for alert in alerts.alerts]
    for sink in receivers:
        for stream in streams:
            sink.announce(stream, alerts=texts)


def opened_log(args: argparse.Namespace, model: Model) -> LogSink:
    """The log that a run writes."""
    from vljepa_log import LogSink

    return LogSink(
        args.log,
        model.bundle.manifest,
        retention=arguments.retention_of(args),
        boundaries=model.boundaries,
    )


def _own_files(
    files: dict[str, Path], sources: Sequence[str], names: Sequence[str]
) -> dict[str, dict[str, Path]]:
    """The files that each of several streams has for itself, by its name; they are taken out of `files`."""
    own: dict[str, dict[str, Path]] = {name: {} for name in names}
    for sink in SINKS:
        if names and not sink.shared and sink.option in files:
            for name, path in zip(names, own_files(sink, files.pop(sink.option), sources)):
                own[name][sink.option] = path
    return own


def _tell_what_is_missing(args: argparse.Namespace, model: Model, labels: Sequence[str]) -> None:
    tell_scope(model.bundle, args.sources[0], quiet=args.quiet)
    if not (args.quiet or model.has_decoder or labels or args.states or args.decode == "never"):
        console.note(wordless(model.bundle.name))


def wordless(bundle: str) -> str:
    """What is missing where segments come without words."""
    return (
        f"note: {bundle} has no Y-decoder, so segments come without words: pass --label for answers in your own, "
        "or --decode never where embeddings are all you want"
    )


def conclude(stats: SessionStats) -> None:
    """Tell people what the run came to, if it came to anything."""
    if stats.windows:
        console.note(summary(stats))


def conclude_all(streams: Mapping[str, StreamStats]) -> None:
    """The same for several streams, a line each."""
    header = ("stream", "state", "windows", "dropped", "decodings", "p95 ms")
    rows = [
        (
            name,
            each.state,
            each.session.windows,
            each.dropped,
            each.session.decodings,
            round(each.delay_p95_ms),
        )
        for name, each in streams.items()
    ]
    if any(each.session.windows for each in streams.values()):
        console.note(console.table(rows, header=header, indent=""))


def summary(stats: SessionStats) -> str:
    """One line: windows, decodings, what was left undone, the median time of a window."""
    saved = f"{stats.decodings_saved:.0%} saved, p50 {stats.p50_ms:.1f} ms a window"
    unknown = f"{stats.unknown} segments of nothing I know, " if stats.unknown else ""
    carried = f" ({stats.carried} carried)" if stats.carried else ""
    return f"{stats.windows} windows{carried}, {stats.decodings} decodings, {unknown}{saved}"
