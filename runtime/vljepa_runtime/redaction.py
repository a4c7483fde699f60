"""Takes user names, passwords and tokens out of URLs, pipelines and sentences. Knows text only; opens nothing.

It errs on the side of hiding: a password may hold any character, escaped or not. What is left is for people to tell
one camera from another, never for opening it.
"""

from __future__ import annotations

import re
from itertools import pairwise
from urllib.parse import unquote

__all__ = ["HIDDEN", "hide_in_name", "hide_in_url", "is_host", "redact", "split_authority"]

HIDDEN = "***"
_URL = re.compile(r"(?:(?<=[\s\"'=(<\[])|^)[A-Za-z][A-Za-z0-9+.-]+://")
_INNER = re.compile(
    r"(?<![A-Za-z0-9])(?=(?:file|https?|rtmps?|rtp|rtsps?|srt|tcp|udp|wss?)://)", re.IGNORECASE
)
_HOST = re.compile(r"(?:\[[0-9A-Za-z:.%_-]+\]|[^\s:@\[\]]*)(?::(?P<port>[0-9]*))?", re.ASCII)
_SURE_HOST = re.compile(r"localhost\b|\[|(?:\d{1,3}\.){3}\d")

# `key=value`, both of them percent-encoded or not. A value ends where the next key begins, and that is after its last
# `_` unless it follows `&`: in `/user=me_password=se;cret_channel=1` all before `_channel` may be the password.
LONGEST_KEY = 80  # characters; without a limit the time goes with the square of a text
_LETTER = r"%(?:[46][1-9A-Fa-f]|[57][0-9ABDFabdf]|[89A-Fa-f][0-9A-Fa-f])"  # encoded, also [ and ]
_BEFORE = (
    rf"(?:&(?P<key>(?:[\w.\[\]$-]|{_LETTER}){{1,{LONGEST_KEY}}})"
    rf"|(?:^|[?;#/,|~\s\"'(_]|%[0-9a-fA-F]{{2}})(?P<part>(?:[A-Za-z0-9.\[\]$-]|{_LETTER}){{1,{LONGEST_KEY}}}))"
)
_PAIR = re.compile(rf"{_BEFORE}\s?(?:=|%(?:25)*3[dD])\s?")
_COLON_PAIR = re.compile(rf"{_BEFORE}(?::|%(?:25)*3[aA])")  # `key:value`, in a URL only
_KEY = re.compile(rf"(?:[\w.\[\]$-]|{_LETTER})*\Z")
_SEGMENTS = re.compile(r"(?<=/)([A-Za-z_-]+)/([^/?#.]+)(?=/|\Z)")  # `/token/abc/`, but not `/key/clip.mp4`
_WORD = re.compile(r"[^\s\"'(<\[=]+")
_QUOTED = re.compile(
    r"(?:\(\w+\))?(?:\\\"(?:[^\\\"]|\\[^\"])*(?:\\\"|\Z)|\"(?:\\.|[^\"\\])*(?:\"|\Z)|'[^']*(?:'|\Z))",
    re.DOTALL,
)
_VALUE_IN_TEXT = re.compile(r"(?:\\.|[^\s\\])*", re.DOTALL)

# What makes a key secret: a part of it, its end, one of its words, or all of it where it is common in longer words.
_PARTS = (
    "apikey", "auth", "bearer", "cookie", "cred", "header", "jwt", "login", "passcode", "passphrase", "passw",
    "psw", "pswd", "pwd", "secret", "sessid", "session", "signature", "token", "username", "userpass",
    "benutzer", "contrase", "gebruiker", "motdepasse", "salasana", "usuario", "utilisateur", "wachtwoord",
)  # fmt: skip
_ENDS = ("key", "pass", "pas", "pw", "sig", "sign")
_WORDS = frozenset((
    "account", "digest", "hdnea", "hdntl", "hdnts", "hmac", "nonce", "otp", "pass", "pin", "psk", "pw", "sid",
    "psd", "ticket", "tk", "tok", "uname", "user", "usr",
    "clave", "haslo", "heslo", "kennwort", "losenord", "lozinka", "mdp", "parola", "senha", "sifre", "utente",
))  # fmt: skip
_WHOLE = frozenset((
    "code", "googleaccessid", "hash", "k", "keypairid", "md", "p", "proxyid", "st", "streamid", "u", "userid",
))  # fmt: skip

_ENCODED_INNER = re.compile(r"(%(?:25)*3[aA]%(?:25)*2[fF]%(?:25)*2[fF]).*?%(?:25)*40")
_JWT = re.compile(r"eyJ[\w-]{8,}(?:\.[\w-]*){0,2}")
_LONG = re.compile(r"[A-Za-z0-9_+-]{16,}")


def redact(text: str) -> str:
    """Hide user names, passwords and tokens of every URL and `key=value` pair in a sentence or pipeline.

    Examples:
        >>> from vljepa_runtime.redaction import redact
        >>> redact("cannot open rtsp://admin:hunter2@10.0.0.5/live?token=abc: timed out")
        'cannot open rtsp://***@10.0.0.5/live?token=***: timed out'
    """
    starts = [found.start() for found in _URL.finditer(text)]
    shown = [_hide_in_words(text[: starts[0]] if starts else text)]
    for start, stop in zip(starts, [*starts[1:], len(text)]):
        url, rest = _url_and_rest(text[start:stop])
        shown += [hide_in_url(url), _hide_in_words(rest)]
    return "".join(shown)


def _hide_in_words(text: str) -> str:
    shown = _WORD.sub(_hide_login, text) if "@" in text else text
    return _hide_options(shown, in_text=True)


def _hide_login(word: re.Match[str]) -> str:
    """`user:password@host`, without a scheme or with a misspelt one."""
    login, _, host = word[0].rpartition("@")
    return f"{HIDDEN}@{host}" if ":" in login and host else word[0]


def hide_in_name(name: str) -> str:
    """What may be shown of anything that was given as a source; its scheme may be missing or misspelt."""
    if found := _URL.search(name):
        return _hide_options(name[: found.start()]) + hide_in_url(name[found.start() :])
    login, _, host = name.rpartition("@")
    if ":" in login:  # user:password@host; the user may be an e-mail address
        name = f"{HIDDEN}@{host}"
    return _JWT.sub(HIDDEN, _hide_options(name))


def hide_in_url(url: str) -> str:
    """What may be shown of a URL, to its last character; URLs inside it are treated alike.

    A password may hold unescaped `#`, `/`, `?` and `@`: when what stands before the first of them is no host, or has
    a port that may be the begin of a password, everything up to the last `@` is hidden.
    """
    return "".join(_hide_in_one(part) for part in _INNER.split(url) if part)


def split_authority(rest: str) -> tuple[str, str]:
    """Cut what follows `://` at the first `/`, `?` or `#`, as FFmpeg does."""
    end = re.search(r"[/?#]", rest)
    return (rest[: end.start()], rest[end.start() :]) if end else (rest, "")


def is_host(text: str) -> bool:
    """Whether a text is a host, with or without a port."""
    found = _HOST.fullmatch(text)
    return found is not None and int((found["port"] or "0")[:6]) < 1 << 16


def _hide_in_one(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    if not mark:
        return _hide_in_body(url)
    authority, body = split_authority(rest)
    body = _hide_options(_ENCODED_INNER.sub(rf"\1{HIDDEN}%40", body))
    has_port = ":" in authority.rpartition("]")[2]
    hides = not authority or "@" in authority or has_port or body[:1] in ("?", "#") or not is_host(authority)
    if "@" in body and (hides or _SURE_HOST.match(body.rpartition("@")[2])):
        user = f"{HIDDEN}@"
        authority, body = split_authority(body.rpartition("@")[2])
    else:
        user = f"{HIDDEN}@" if "@" in authority else ""
        authority = authority.rpartition("@")[2]
    if not is_host(authority):
        return f"{scheme}://{HIDDEN}"
    return f"{scheme}://{user}{authority}{_hide_in_body(body)}"


def _hide_in_body(body: str) -> str:
    """Path, query and fragment. A fragment never reaches a server, so nobody needs to see it."""
    shown, mark, _ = _hide_options(_ENCODED_INNER.sub(rf"\1{HIDDEN}%40", body)).partition("#")
    path, query, options = shown.partition("?")
    shown = _SEGMENTS.sub(_hide_segment, path) + query + options
    shown = _LONG.sub(lambda word: HIDDEN if _looks_random(word[0]) else word[0], _JWT.sub(HIDDEN, shown))
    return f"{shown}{mark}{HIDDEN if mark else ''}"


def _hide_segment(found: re.Match[str]) -> str:
    return f"{found[1]}/{HIDDEN}" if _is_secret(found[1]) else found[0]


def _hide_options(text: str, *, in_text: bool = False) -> str:
    """Replace the value of every secret `key=value`: to the next pair, in a text to the next blank at most."""
    shown = _hide_pairs(text, _PAIR, in_text=in_text)
    return shown if in_text else _hide_pairs(shown, _COLON_PAIR)


def _hide_pairs(text: str, pattern: re.Pattern[str], *, in_text: bool = False) -> str:
    shown, done = [], 0
    pairs = list(pattern.finditer(text))
    for pair, following in zip(pairs, [*pairs[1:], None]):
        if pair.start() < done or not _is_secret(_whole_key(text, pair, done)):
            continue
        end = following.start() if following else len(text)
        if quoted := _QUOTED.match(text, pair.end()):
            end = quoted.end()
        elif in_text and (value := _VALUE_IN_TEXT.match(text, pair.end(), end)):
            end = value.end()
        if end > pair.end():
            shown += [text[done : pair.end()], HIDDEN]
            done = end
    return "".join([*shown, text[done:]])


def _whole_key(text: str, pair: re.Match[str], start: int) -> str:
    """The key of a pair with the words before its last `_`, as far as they are not part of a value hidden before."""
    end = pair.end("key" if pair["key"] else "part")
    found = _KEY.search(text, max(start, end - 2 * LONGEST_KEY), end)
    return found[0] if found else ""


def _is_secret(key: str) -> bool:
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unquote(key)).lower())
    whole = "".join(words)
    return (
        any(part in whole for part in _PARTS)
        or whole.endswith(_ENDS)
        or whole in _WHOLE
        or not _WORDS.isdisjoint(words)
    )


def _looks_random(word: str) -> bool:
    """Whether letters and digits change places too often for words, as in keys that are a part of a path."""
    kinds = ["0" if c.isdigit() else "A" if c.isupper() else "a" for c in word if c.isalnum()]
    changes = sum(one != other for one, other in pairwise(kinds))
    return "0" in kinds and changes > 0.3 * len(kinds)


def _url_and_rest(text: str) -> tuple[str, str]:
    """The URL that a text begins with; a blank belongs to it where a later `@` shows that a password goes on."""
    found = re.match(r"\S+", text)
    end = found.end() if found else len(text)
    authority = split_authority(text[:end].partition("://")[2])[0]
    if "@" not in authority and not is_host(authority) and "@" in text[end:]:
        longer = re.compile(r"[^@]*@\S*").match(text, end)
        end = longer.end() if longer else end
    url = text[:end].rstrip("'\"),.;:")
    return url, text[len(url) :]
