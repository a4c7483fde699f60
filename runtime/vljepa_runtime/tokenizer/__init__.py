"""Text to ids and back, by a `tokenizer.json` of which only what is understood is admitted.

>>> from vljepa_runtime import Bundle
>>> from vljepa_runtime.tokenizer import Tokenizer, open_library_tokenizer
>>> with Bundle.open("tiny") as bundle:
...     data = bundle.read("tokenizer.json")
>>> tokenizer = Tokenizer.from_bytes(data)
>>> ids, mask = tokenizer.encode(["a red ball falls", "a box"])
>>> ids.shape, mask.sum(axis=1).tolist()
((2, 32), [4, 2])
>>> tokenizer.decode(ids[0])
'a red ball falls'
>>> open_library_tokenizer(data).get_vocab_size() == tokenizer.vocab_size
True
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
