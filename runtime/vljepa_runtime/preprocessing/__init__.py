"""From frames to what the X-encoder takes: sampled, fitted once, cut into tubelets, some of them left out.

>>> import numpy as np
>>> from vljepa_runtime.preprocessing import Preprocess, clip_tokens, fit_frames, patchify, saliency
>>> pre = Preprocess(frames=4, size=48, patch=12)  # windows of 4 frames of 48 x 48 pixels
>>> frames = np.zeros((30, 120, 160, 3), np.uint8)
>>> frames[:, 60:75, 80:95] = 255  # a white square in the middle
>>> clip = fit_frames(frames, pre)
>>> clip.frames.shape
(4, 48, 48, 3)
>>> patches, positions = patchify(clip)
>>> patches.shape, pre.grid
((32, 864), (2, 4, 4))
>>> positions[saliency(patches, positions).argmax()]  # time, row and column of the square
array([0, 2, 2], dtype=int32)
>>> patches, positions = clip_tokens(clip, tokens="budget:8")  # the X-encoder's work, cut to a quarter
>>> patches.shape, positions.shape
((8, 864), (8, 3))
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
