"""Writes `processors.npz`: what two families' own preprocessing makes of pictures of many shapes.

`python tests/runtime/preprocessing/record_processors.py` writes it again where transformers and torchvision work; the
tests read the committed file and so need neither. With video files as arguments it compares their clips with what
V-JEPA 2's processor makes of the same frames at full size.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

HERE = Path(__file__).parent / "processors.npz"
SIZE = 18
SHAPES = (
    *((54, 96), (108, 192), (72, 96), (96, 54), (61, 97), (97, 61), (18, 18), (20, 20)),
    *((33, 33), (7, 9), (16, 30), (300, 19), (21, 400), (45, 47)),
)  # 16:9 twice, 4:3, portrait, odd sides, the crop's own, smaller than the crop, tall, wide, odd margins

UInt8 = npt.NDArray[np.uint8]


def picture(height: int, width: int) -> UInt8:
    """Noise (H, W, 3), smoothed a little so that a wrong pixel shows and a wrong rounding does not."""
    noise = np.random.default_rng([height, width]).integers(
        0, 256, (height + 2, width + 2, 3), dtype=np.uint16
    )
    smooth = sum(noise[y : y + height, x : x + width] for y in range(3) for x in range(3)) // 9
    return np.asarray(smooth, np.uint8)


def processed(frames: list[UInt8], size: int) -> UInt8:
    """transformers' processor of V-JEPA 2, before it normalises: (T, size, size, 3)."""
    from transformers import VJEPA2VideoProcessor

    processor = VJEPA2VideoProcessor(crop_size=size)
    video = processor(frames, do_rescale=False, do_normalize=False, return_tensors="np")
    return np.asarray(video["pixel_values_videos"])[0].transpose(0, 2, 3, 1).round().astype(np.uint8)


def vjepa2(image: UInt8) -> UInt8:
    """The processor on one picture: (SIZE, SIZE, 3)."""
    return processed([image, image], SIZE)[0]


def compare(path: str) -> str:
    """The clip of a file against the processor on the frames it took, in grey levels."""
    from vljepa_runtime.preprocessing.clip_reader import read_clip
    from vljepa_runtime.preprocessing.preprocess import Preprocess
    from vljepa_runtime.preprocessing.timeline import Part, choose_numbers
    from vljepa_runtime.sources import Frame, open_source

    pre = Preprocess(frames=16, size=256, patch=16, resize="antialias", short_side=292, crop_offset="floor")
    frames = [item for item in open_source(path) if isinstance(item, Frame)]
    end_s = frames[-1].time_s + (frames[-1].duration_s or 0.0)
    numbers = choose_numbers([frame.time_s for frame in frames], end_s, pre, Part())
    expected = processed([frames[number].image for number in numbers], 256).astype(float)
    off = read_clip(path, pre).frames - expected
    psnr = 10 * np.log10(255**2 / max((off**2).mean(), 1e-9))
    height, width = frames[0].image.shape[:2]
    return f"{Path(path).name} {width} x {height}: {psnr:.1f} dB, at most {np.abs(off).max():.0f} grey levels"


def open_vljepa(image: UInt8) -> npt.NDArray[np.float32]:
    """The transforms that open-vljepa's data sets apply, before it normalises: (SIZE, SIZE, 3), grey levels."""
    import torch
    from torchvision import transforms

    fit = transforms.Compose([transforms.Resize(SIZE, antialias=True), transforms.CenterCrop(SIZE)])
    levels = fit(torch.from_numpy(image).permute(2, 0, 1).float() / 255) * 255
    return np.asarray(levels.permute(1, 2, 0).numpy(), np.float32)


FAMILIES = {"vjepa2": vjepa2, "open_vljepa": open_vljepa}


def record() -> dict[str, npt.NDArray[np.generic]]:
    """All pictures through both."""
    return {
        f"{family} {height}x{width}": np.rint(fit(picture(height, width))).astype(np.uint8)
        for family, fit in FAMILIES.items()
        for height, width in SHAPES
    }


if __name__ == "__main__" and sys.argv[1:]:
    print(*map(compare, sys.argv[1:]), sep="\n")
elif __name__ == "__main__":
    np.savez_compressed(HERE, **record())
    print(HERE, HERE.stat().st_size)
