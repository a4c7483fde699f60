"""One module per command; this table is what `vljepa --help` prints without importing any of them.

A command is a thin shell: `add_arguments(parser)` and `run(args) -> int`. It imports no other command.
"""

from __future__ import annotations

import keyword

__all__ = ["COMMANDS", "module_of"]

COMMANDS = {
    "demo": "run the shipped bundle on a procedural event stream, a file or a camera, and show what it saved",
    "run": "turn a video source into events, one JSON line each",
    "serve": "watch cameras behind a page: live sentences, search, alerts, teaching; runs for months",
    "embed": "print the embedding of a clip, of texts, or both with their similarity",
    "classify": "rank labels in your own words for a clip",
    "ask": "answer a question about a clip, from candidates or in words",
    "index": "put the embeddings of videos into a log that can be searched",
    "search": "find moments of a log by words, by a picture, or by another moment",
    "decode": "put stored moments of a log into words",
    "digest": "tell what changed on a day, from a log: text, Markdown or a page with pictures",
    "answer": "answer a question about a past moment of a log, from candidates",
    "log": "show what a log holds, and remove what is too old or too much",
    "teach": "learn own states from a few examples each, for `run --states`",
    "alerts": "find thresholds of alerts on recordings, and test alerts on them",
    "inspect": "show what a bundle holds: graphs, precisions, parity, accuracy",
    "doctor": "show what really runs on this machine",
    "train": "train a model on the procedural world, or fine-tune one on annotated videos",
    "import": "turn public weights into a checkpoint: open-vljepa, or parts to fine-tune",
    "export": "turn a checkpoint into a bundle for any engine, held to its gates",
    "build": "build the TensorRT engines of a bundle on the machine that runs them",
    "verify": "repeat a bundle's gates on this machine",
    "tune": "find the settings that run a bundle on this device as it is wanted, for `run --profile`",
    "selective": "measure what selective decoding saves: quality against decodings per minute, with a picture",
    "compare": "measure two bundles against each other: accuracy, latency, size, memory",
    "versus": "train VL-JEPA and a token-space VLM on the same features and draw both against samples seen",
    "bench": "measure one bundle on this machine",
}


def module_of(command: str) -> str:
    """The module of a command; `import` is a word of Python, so its file is `import_.py`."""
    return f"vljepa_apps.commands.{command}{'_' if keyword.iskeyword(command) else ''}"
