"""Clips of real videos with texts: a manifest of this project, and public annotation files read directly. No torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
