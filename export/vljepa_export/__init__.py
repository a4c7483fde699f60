"""Checkpoint in, bundle out: every graph exported, made small and compared with torch before anything is written.

    from vljepa_export import export_bundle
    report = export_bundle("tiny", "tiny.vljepa", format="openvino", precision="int8")

The names stand in `__init__.pyi`. Each is imported when it is first used: the table of formats costs no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
