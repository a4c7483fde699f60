"""Read by `optimum-cli` at its start: V-JEPA 2 becomes a model type of `optimum-cli export onnx`.

What registers it needs torch and transformers, so it is imported when an export runs, and not for `optimum-cli --help`.
"""

from functools import wraps

from optimum.commands.export.onnx import ONNXExportCommand

__all__ = ["REGISTER_COMMANDS"]

REGISTER_COMMANDS: list[object] = []  # no command of its own

_run = ONNXExportCommand.run


@wraps(_run)
def _run_with_vjepa2(command: ONNXExportCommand) -> None:
    import optimum.vljepa  # noqa: F401

    _run(command)


ONNXExportCommand.run = _run_with_vjepa2
