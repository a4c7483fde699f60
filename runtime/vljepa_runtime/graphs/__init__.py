"""Graphs of a bundle, looked at before an engine sees them. Knows file formats, and neither engines nor a network.

A graph file is a program that a stranger wrote: it may name other files, loop, or ask for gigabytes in a few hundred
bytes. Each format has one reader here, which takes a strict subset (what the exporters write) and refuses the rest.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
