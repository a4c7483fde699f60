"""`vljepa serve`: cameras behind a page, until somebody ends it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps import arguments, console
from vljepa_apps.profile_options import PROFILE_HELP, read_profile, tell_device

if TYPE_CHECKING:
    from vljepa_serve import ConfigFile
    from vljepa_serve.access import Access
    from vljepa_serve.config import ServerConfig

EXAMPLE = "vljepa serve tiny --source 0 --source rtsp://10.0.0.7/door"
FOLDER = "vljepa-data"
DAY_S = 86_400.0
DEMO_SEED, DEMO_MINUTES = 1, 3.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "bundle", metavar="BUNDLE", nargs="?", help="default: what the configuration says, else tiny"
    )
    parser.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="S",
        help=f"a camera that the configuration has not yet: {arguments.SOURCE_HELP}; may be repeated",
    )
    parser.add_argument(
        "--demo", action="store_true", help="the stream of `vljepa demo` as a camera, to try it without one"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="the configuration (default: serve.toml in --log)"
    )
    parser.add_argument("--log", type=Path, metavar="DIR", help=f"folder of what is kept (default: {FOLDER})")
    parser.add_argument("--host", metavar="H", help="address to listen at (default: 127.0.0.1)")
    parser.add_argument(
        "--port", type=arguments.count, metavar="P", help="0 takes a free one (default: 8080)"
    )
    parser.add_argument(
        "--token",
        metavar="T",
        help="what has to be given to come in, or env:NAME or file:PATH that holds it (default: none on "
        "loopback, else one is made and kept in --log)",
    )
    parser.add_argument("--tls-cert", metavar="FILE", help="speak TLS with these certificates (PEM)")
    parser.add_argument("--tls-key", metavar="FILE", help="the key of --tls-cert")
    arguments.add_quiet(parser)
    arguments.add_engine(parser)
    parser.add_argument(
        "--profile",
        type=Path,
        metavar="FILE",
        help=f"{PROFILE_HELP}, into the configuration; --engine and --threads count more",
    )
    arguments.add_retention(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    arguments.require_extra("serve", "fastapi", "uvicorn", "websockets", "tomlkit")
    from vljepa_serve import Service, create_app
    from vljepa_serve.running import serve_app
    from vljepa_serve.tls import check_tls

    folder = args.log or Path(FOLDER)
    file = _configured(args, folder)
    place = _place(args, file)
    check_tls(place)
    access = _access(args, place, folder)
    demo = _demo_place(folder)
    with Service(file, folder=folder, demo=str(demo) if demo.exists() else None) as service:
        service.start()
        tell = partial(_tell, access, is_quiet=args.quiet)
        serve_app(create_app(service, access), place, on_ready=tell)
    return 0


def _tell(access: Access, address: str, *, is_quiet: bool) -> None:
    if is_quiet:
        return
    console.note(f"vljepa serve: {address} (Ctrl-C ends it)")
    if access.token is not None and access.is_made:
        console.note(f"token: {access.token}")


def _access(args: argparse.Namespace, place: ServerConfig, folder: Path) -> Access:
    """Who may come in: on loopback everybody, unless a token is given; elsewhere nobody without one."""
    from vljepa_runtime.sinks import secret_text
    from vljepa_serve.access import Access, check_token, is_loopback, read_token

    is_made = False
    if args.token is not None:
        token: str | None = check_token(secret_text(args.token))
    elif place.token_file is not None or not is_loopback(place.host):
        kept = Path(place.token_file or folder / "token")
        is_made = not kept.exists()
        token = read_token(kept)
    else:
        token = None
    return Access(
        token=token,
        host=place.host,
        names=place.names,
        is_secure=place.tls_cert is not None,
        is_made=is_made,
    )


def _configured(args: argparse.Namespace, folder: Path) -> ConfigFile:
    """The configuration, with what the options add to it."""
    from vljepa_serve import ConfigFile

    file = ConfigFile(args.config or folder / "serve.toml")
    model, select = _tuned(args, bundle=args.bundle or file.config.model.bundle)
    model |= {"bundle": args.bundle}
    model |= {"threads": args.threads} if args.threads is not None else {}
    model |= {"engine": args.engine} if args.engine != "auto" else {}
    retention = arguments.retention_of(args)
    log: dict[str, Any] = {}
    if retention is not None:
        log = {
            "keep_days": _divided(retention.max_age_s, DAY_S),
            "keep_gb": _divided(retention.max_bytes, 1e9),
            "thin_days": _divided(retention.thin_after_s, DAY_S),
        }
    for section, values in (("model", model), ("log", log)):
        if given := {key: value for key, value in values.items() if value is not None}:
            file.set(section, given)
    if select:
        file.set("select", select)
    for source in [*args.source, *([_demo(folder)] if args.demo else [])]:
        _add_source(file, source)
    return file


def _tuned(args: argparse.Namespace, *, bundle: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a profile says of the model and of selection."""
    if args.profile is None:
        return {}, {}
    profile = read_profile(args.profile, bundle=bundle)
    tell_device(profile, profile.engine)
    model = {name: getattr(profile, name) for name in ("engine", "threads", "stride_s", "tokens", "carry_s")}
    tuned = profile.selection
    return model, {} if tuned is None else {"threshold": tuned.threshold, "boundary": tuned.boundary}


def _demo_place(folder: Path) -> Path:
    return folder.absolute() / "demo-stream.mp4"


def _demo(folder: Path) -> str:
    """The demo's stream, written when it is first wanted."""
    from vljepa_apps.demo.stream import write_stream

    path = _demo_place(folder)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_stream(path, seed=DEMO_SEED, minutes=DEMO_MINUTES)
    return str(path)


def _add_source(file: ConfigFile, source: str) -> None:
    """A camera for a source that none has."""
    from vljepa_runtime.sources import resolve
    from vljepa_serve.config import free_id, name_of

    cameras = file.config.camera
    if all(camera.source != source for camera in cameras):
        name = name_of(source)
        id = free_id(name, [camera.id for camera in cameras])
        found = resolve(source)
        has_end = isinstance(found, Path) and (found.is_file() or found.is_dir())  # a device exists, too
        file.put("camera", {"id": id, "name": name, "source": source, "loop": has_end})


def _place(args: argparse.Namespace, file: ConfigFile) -> ServerConfig:
    """Where to listen."""
    given = {"host": args.host, "port": args.port, "tls_cert": args.tls_cert, "tls_key": args.tls_key}
    return replace(file.config.server, **{key: value for key, value in given.items() if value is not None})


def _divided(value: float | None, by: float) -> float | None:
    return None if value is None else value / by
