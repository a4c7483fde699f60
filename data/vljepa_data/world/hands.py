"""Photographs of hand signs, cut out from their plain background, to be shown over the world's scenery.

The photographs are not part of this project (see `shared/data/MANIFEST.md`): whoever has them names the folder.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from vljepa_data.world.motion import Float, ease

__all__ = ["Hand", "HandBank", "hand_path"]

UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Hand:
    """A cut-out: premultiplied RGBA (128, 128, 4) uint8 and the digit it shows."""

    picture: UInt8
    digit: int


@dataclass(frozen=True, slots=True)
class HandBank:
    r"""Cut-outs of one split, grouped by digit.

    Examples:
        >>> from pathlib import Path
        >>> import cv2
        >>> import numpy as np
        >>> from vljepa_data.world import HandBank, Split, make_clip
        >>> picture = np.full((64, 64, 3), 255, np.uint8)
        >>> picture[20:50, 20:40] = (110, 140, 200)
        >>> folder, rows = Path("hands"), [f"{digit}.png,{digit},train" for digit in range(10)]
        >>> folder.mkdir()
        >>> all(cv2.imwrite(f"hands/{digit}.png", picture) for digit in range(10))
        True
        >>> _ = (folder / "labels.csv").write_text("\n".join(["file,label,split", *rows]))
        >>> bank = HandBank.load(folder, "train")
        >>> len(bank.all), bank.all[0].picture.shape
        (10, (128, 128, 4))
        >>> make_clip(4, Split.TEST, kind="hand", hands=bank).digits
        (4, 9)
    """

    by_digit: tuple[tuple[Hand, ...], ...]

    @classmethod
    def load(cls, folder: str | Path, split: str) -> HandBank:
        """Read the photographs that `labels.csv` lists for a split.

        Args:
            folder: The data set's folder.
            split: `train` or `val`.

        Raises:
            FileNotFoundError: the folder or its `labels.csv` is absent.
            ValueError: a digit has no photograph in that split.
        """
        root = Path(folder)
        groups: list[list[Hand]] = [[] for _ in range(10)]
        with (root / "labels.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                image = cv2.imread(str(root / row["file"])) if row["split"] == split else None
                if image is not None:
                    groups[int(row["label"])].append(Hand(cut_out(image[..., ::-1]), int(row["label"])))
        if not all(groups):
            raise ValueError(f"{root}: split {split!r} lacks photographs of some digits")
        return cls(tuple(tuple(group) for group in groups))

    @property
    def all(self) -> tuple[Hand, ...]:
        """Every hand of the split, digit by digit."""
        return tuple(hand for group in self.by_digit for hand in group)

    def draw(self, digit: int, rng: np.random.Generator) -> Hand:
        """One photograph of a digit."""
        group: Sequence[Hand] = self.by_digit[digit]
        return group[int(rng.integers(len(group)))]


def cut_out(image: UInt8) -> UInt8:
    """Separate a hand from a plain light background.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        (128, 128, 4) premultiplied RGBA.
    """
    big = np.asarray(cv2.resize(image, (128, 128), interpolation=cv2.INTER_CUBIC), np.uint8)
    lab = cv2.cvtColor(big, cv2.COLOR_RGB2LAB).astype(np.float32)
    chroma = np.hypot(lab[..., 1] - 128, lab[..., 2] - 128)  # paper is grey, skin is not
    scaled = np.clip(chroma * 6, 0, 255).astype(np.uint8)
    _, mask = cv2.threshold(
        cv2.GaussianBlur(scaled, (0, 0), 1.2), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU
    )
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count > 1:
        mask = np.where(labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])), 255, 0).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    alpha = np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.8), np.uint8)[..., None]
    return np.concatenate([(big * (alpha / 255.0)).astype(np.uint8), alpha], axis=2)


def hand_path(u: Float, rng: np.random.Generator, *, sway: float = 0.008) -> tuple[Float, Float]:
    """Centre (x, y) of a hand that comes up from below, stays, and sometimes goes again; in frame sides, (T,) each."""
    x = rng.uniform(0.42, 0.58) + np.cumsum(rng.normal(0, sway, len(u)))
    arrive = ease((u - rng.uniform(-0.3, 0.0)) / 0.25)
    leave = ease((u - rng.uniform(0.85, 1.3)) / 0.25)
    y = 0.54 + 0.7 * (1 - arrive) + 0.7 * leave + np.cumsum(rng.normal(0, sway, len(u)))
    return x.astype(np.float32), y.astype(np.float32)
