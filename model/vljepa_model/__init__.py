"""VL-JEPA in torch: configuration, the four networks, their losses and checkpoints.

>>> from vljepa_model import VLJEPA, ModelConfig, checkpoint_folder, load_checkpoint, open_checkpoint, save_checkpoint
>>> opened = open_checkpoint(checkpoint_folder("tiny"))  # reads no weights
>>> opened.parameters
{'x_encoder': 2835648, 'predictor': 1500928, 'y_encoder': 1574464, 'y_decoder': 1611840}
>>> opened
CheckpointFolder(folder=..., config=ModelConfig(x_encoder=XEncoderConfig(width=192, ...), ...), ...)
>>> checkpoint = load_checkpoint(checkpoint_folder("tiny"))
>>> checkpoint
Checkpoint(model=VLJEPA(...), config=..., tokenizer_file=...Path('...tokenizer.json'), ...)

The networks are called one by one:

>>> import torch
>>> from vljepa_data.world import Split, make_clip
>>> from vljepa_runtime.preprocessing import clip_tokens, fit_frames
>>> clip = fit_frames(make_clip(8, Split.TEST).frames, checkpoint.preprocess)
>>> patches, positions = (torch.from_numpy(part)[None] for part in clip_tokens(clip))
>>> checkpoint.model.x_encoder(patches, positions).shape
torch.Size([1, 256, 192])

An untrained one, of the sizes of a preset:

>>> model = VLJEPA(ModelConfig.preset("tiny"))
>>> str(save_checkpoint(model, "untrained", tokenizer_file=checkpoint.tokenizer_file))
'untrained'

The names stand in `__init__.pyi`. Each is imported when it is first used: where a checkpoint lies costs no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
