"""`vljepa import`: public weights in, a checkpoint out that `vljepa train` and `vljepa export` read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps import arguments, console

if TYPE_CHECKING:
    from vljepa_model.assembly import Assembled

EXAMPLE = "vljepa import open-vljepa best.pt --vision vision --llama llama --gemma gemma -o open"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    trained = kinds.add_parser(
        "open-vljepa",
        help="the community checkpoint cun-bjy/open-vljepa: trained, without a Y-decoder",
        description="Import open-vljepa's best.pt with the folders it was trained on.",
    )
    trained.add_argument("file", type=Path, metavar="BEST.PT", help="its checkpoint file")
    parts = kinds.add_parser(
        "parts",
        help="an untrained VL-JEPA of public parts, to fine-tune",
        description="Assemble an untrained VL-JEPA of public parts, to fine-tune with `vljepa train`.",
    )
    for kind in (trained, parts):
        kind.add_argument(
            "--vision", type=Path, required=True, metavar="DIR", help="V-JEPA 2 folder, or a V-JEPA 2.1 file"
        )
        kind.add_argument("--llama", type=Path, required=True, metavar="DIR", help="Llama-3.2-1B folder")
        kind.add_argument("--gemma", type=Path, required=True, metavar="DIR", help="EmbeddingGemma folder")
        kind.add_argument(
            "-o", "--out", type=Path, required=True, metavar="DIR", help="the checkpoint to write"
        )
        kind.add_argument("--name", metavar="NAME", help="of the model (default: the folder's)")
        kind.add_argument("--license", default="", metavar="TEXT", help="of the weights, kept in the bundle")
        kind.add_argument("--force", action="store_true", help="replace the checkpoint that is at DIR")
        arguments.add_json(kind)
    _add_choices(parts)


def _add_choices(parts: argparse.ArgumentParser) -> None:
    parts.add_argument(
        "--decoder", metavar="DIR|own", help="causal LM folder for the Y-decoder, or `own` (default: none)"
    )
    arguments.add_number(parts, "--layers", 8, "last layers of --llama", kind=int)
    parts.add_argument(
        "--pooling",
        default="mean",
        choices=("mean", "pipeline"),
        help="of --gemma: mean (default, the paper's), or with its sentence-transformers layers",
    )
    arguments.add_number(parts, "--dim", 1536, "of an embedding", kind=int)
    arguments.add_number(parts, "--frames", 16, "in a window", kind=int)
    parts.add_argument(
        "--size", type=int, metavar="PX", help="of a frame (default: what --vision was made for)"
    )
    arguments.add_number(parts, "--prefix", 8, "decoder positions", kind=int)
    arguments.add_number(parts, "--seed", 0, "of what no part brings", kind=int)


def run(args: argparse.Namespace) -> int:
    """Open the parts, check them, and write the checkpoint."""
    arguments.require_extra("train", "torch")
    from vljepa_model.assembly import write_checkpoint
    from vljepa_runtime.errors import InputError
    from vljepa_runtime.files import check_folder

    check_folder(args.out, names=("model.safetensors", "config.json"))
    if (args.out / "config.json").exists() and not args.force:
        raise InputError(f"{args.out} holds a checkpoint: choose another folder or pass --force")
    assembled = _opened(args)
    with console.Progress("importing", total=1) as progress:
        folder = write_checkpoint(
            assembled, args.out, name=args.name, license=args.license, progress=progress.step
        )
    report = summary(folder)
    console.report(report, lambda: text(report), as_json=args.json)
    if not args.json:
        console.note(f"\nnext: vljepa export {folder}")
    return 0


def _opened(args: argparse.Namespace) -> Assembled:
    from vljepa_model.assembly import assemble
    from vljepa_model.open_vljepa import open_open_vljepa

    folders: dict[str, Any] = {"vision": args.vision, "llama": args.llama, "gemma": args.gemma}
    if args.kind == "open-vljepa":
        return open_open_vljepa(args.file, **folders)
    return assemble(
        **folders,
        decoder=args.decoder,
        layers=args.layers,
        pooling=args.pooling,
        embedding_dim=args.dim,
        frames=args.frames,
        size=args.size,
        prefix=args.prefix,
        seed=args.seed,
    )


def summary(folder: Path) -> dict[str, Any]:
    """What was written: parameters per network and bytes on disk."""
    from vljepa_model.checkpoint import open_checkpoint

    opened = open_checkpoint(folder)
    return {
        "path": str(folder),
        "bytes": opened.bytes,
        "parameters": opened.parameters,
        "embedding_dim": opened.config.embedding_dim,
        "frames": opened.preprocess.frames,
        "size": opened.preprocess.size,
    }


def text(report: dict[str, Any]) -> str:
    """The result for people."""
    rows = [(name, f"{count / 1e6:.1f} M") for name, count in report["parameters"].items()]
    total = sum(report["parameters"].values())
    return "\n".join(
        [
            console.table(rows, header=("network", "parameters")),
            (
                f"{report['path']}: {total / 1e6:.1f} M parameters, {console.size(report['bytes'])}; windows of "
                f"{report['frames']} frames of {report['size']} px, embeddings of {report['embedding_dim']}"
            ),
        ]
    )
