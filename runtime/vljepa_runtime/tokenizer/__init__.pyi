from .tokenizer import LENGTHS as LENGTHS
from .tokenizer import Tokenizer as Tokenizer
from .tokenizer import open_library_tokenizer as open_library_tokenizer
