r"""Files, whatever they hold: written whole or not at all, read strictly. Knows no model and no bundle.

>>> from pathlib import Path
>>> from vljepa_runtime.files import OutputFile, cache_file, check_folder, check_output, claimed, has_writer
>>> from vljepa_runtime.files import is_in_place, parse_json, replace_file, scratch_folder, split_lines
>>> check_output("log.txt", overwrite=False)  # before the work: can it be written? Nothing is left behind
>>> with OutputFile("log.txt") as output:
...     output.publish()  # has its name from now on, and grows
...     output.write(b"one\n")
...     has_writer("log.txt", temporary=False)
4
True
>>> replace_file("log.txt", b"whole or not at all")
>>> with claimed("run"):  # a folder of which this process is the one writer
...     check_folder("run")
>>> with scratch_folder(Path("made")) as scratch:  # on the same disk, gone after an error
...     cache_file(scratch / "part", b"made piece by piece")
...     (scratch / "part").rename("made").read_text()
'made piece by piece'
>>> is_in_place(Path("/dev/null"), overwrite=True)
True
>>> split_lines("one\r\ntwo\x0cstill two\n")
['one', 'two\x0cstill two']
>>> parse_json('{"score": NaN}')
Traceback (most recent call last):
ValueError: NaN is not a number
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
