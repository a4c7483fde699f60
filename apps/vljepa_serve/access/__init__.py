"""Who may come in: a token, the names the server may be called by, and how often somebody may ask.

>>> from vljepa_serve.access import Access, Guard, Rate, is_loopback, read_token
>>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
(True, False)
>>> access = Access(token="a secret", host="0.0.0.0")
>>> access.is_right("a secret"), access.is_right("another"), access.is_cookie(access.cookie)
(True, False, True)
>>> access.answers_to("evil.example:8080"), access.answers_to("192.168.1.7:8080")
(False, True)
>>> rate = Rate(most=2, per_s=60)
>>> [rate.wait_s("10.0.0.9", now=0.0) for _ in range(3)]
[0.0, 0.0, 30.0]
>>> len(read_token("served/token")) >= 32, read_token("served/token") == read_token("served/token")
(True, True)
>>> from vljepa_serve.access import check_token
>>> check_token("short")
Traceback (most recent call last):
vljepa_runtime.errors.InputError: expected a token of at least 16 printable ASCII characters, got 5: ...
>>> Guard.__name__  # stands before every route; `create_app` puts it there
'Guard'
"""

from vljepa_serve.access.guard import Guard
from vljepa_serve.access.rates import Rate
from vljepa_serve.access.token import COOKIE, Access, check_token, is_loopback, read_token

__all__ = ["COOKIE", "Access", "Guard", "Rate", "check_token", "is_loopback", "read_token"]
