"""Published model families: one file each reads a folder's config and says how its tensors become ours.

A family knows names and shapes; files are opened by `tensor_files`, models assembled by `assembly`.
"""

from __future__ import annotations
