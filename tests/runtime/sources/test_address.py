"""An address prints itself without what is secret, whatever the password is made of."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vljepa_runtime.errors import SourceError
from vljepa_runtime.redaction import redact
from vljepa_runtime.sources import Address, open_source
from vljepa_runtime.sources.live.source import Backoff
from vljepa_runtime.sources.network.opening import open_network

SHOWN = [
    ("rtsp://admin:hunter2@10.0.0.5:554/live", "rtsp://***@10.0.0.5:554/live"),
    ("RTSP://admin:p@ss@cam/live", "rtsp://***@cam/live"),
    ("Https://host/x?token=abc&size=3", "https://host/x?token=***&size=3"),
    ("rtsp://admin:se#cret@127.0.0.1:9/x", "rtsp://***@127.0.0.1:9/x"),
    ("rtsp://admin:se/cret@127.0.0.1:9/x", "rtsp://***@127.0.0.1:9/x"),
    ("rtsp://admin:se?cret@127.0.0.1:9/x", "rtsp://***@127.0.0.1:9/x"),
    ("rtsp://admin:se cret@cam/x", "rtsp://***@cam/x"),
    ("rtsp://admin:a ! b@cam/x", "rtsp://***@cam/x"),
    ("rtsp://admin:2023#Cam@192.168.1.5/x", "rtsp://***@192.168.1.5/x"),
    ("rtsp://admin:12/34@cam/x", "rtsp://***@cam/x"),
    ("rtsp://admin:p@s/s@cam/x", "rtsp://***@cam/x"),
    ("rtsp://tok#en@cam/x", "rtsp://***@cam/x"),
    ("rtsp://admin:50%off@cam/x", "rtsp://***@cam/x"),
    ("rtsp://admin:back\\slash@cam/x", "rtsp://***@cam/x"),
    ("rtsp://u:p@[fe80::1%25eth0]:554/live", "rtsp://***@[fe80::1%25eth0]:554/live"),
    ("rtsp://admin:hunter2/192.168.0.1/live", "rtsp://***"),
    ("rtsp://admin:se#cret", "rtsp://***"),
    ("http://host/path@2x/clip.mp4?frame=3", "http://host/path@2x/clip.mp4?frame=3"),
    ("http://cam:8080/x?user=me&pwd=p@ss", "http://cam:8080/x?user=***&pwd=***"),
    (
        "rtsp://cam/user=admin_password=secret_channel=1_stream=0.sdp?real_stream",
        "rtsp://cam/user=***_password=***_channel=1_stream=0.sdp?real_stream",
    ),
    (
        "rtsp://cam:554/user=admin&password=my_se_cret&channel=1",
        "rtsp://cam:554/user=***&password=***&channel=1",
    ),
    ("http://cam/a.cgi?loginuse=me&loginpas=8&rate=0", "http://cam/a.cgi?loginuse=***&loginpas=***&rate=0"),
    ("http://cam/s?usr=a&PSWD=b&psw=c;jwt=d", "http://cam/s?usr=***&PSWD=***&psw=***;jwt=***"),
    (
        "https://h/s?access_token=a&apiKey=b&X-Amz-Signature=c&X-Amz-Credential=d&sig=e&code=f",
        "https://h/s?access_token=***&apiKey=***&X-Amz-Signature=***&X-Amz-Credential=***&sig=***&code=***",
    ),
    ("http://h/s?codec=h264&keyframe=1&author_id=3", "http://h/s?codec=h264&keyframe=1&author_id=***"),
    ("http://cam/x#token=abc", "http://cam/x#***"),
    (
        "http://cam/x?user%5Bpassword%5D=a&pass%77ord=b&c=d",
        "http://cam/x?user%5Bpassword%5D=***&pass%77ord=***&c=d",
    ),
    (
        "http://cam/x?contrase%C3%B1a=a&wachtwoord=b&heslo=c",
        "http://cam/x?contrase%C3%B1a=***&wachtwoord=***&heslo=***",
    ),
    ("http://cam/x?PHPSESSID=a&st=b&e=1&tk=c&psd=d", "http://cam/x?PHPSESSID=***&st=***&e=1&tk=***&psd=***"),
    ("http://cam/token/abc/live?x=1", "http://cam/token/***/live?x=1"),
    ("http://cam/password/abc", "http://cam/password/***"),
    ("http://cam/key/clip.mp4", "http://cam/key/clip.mp4"),
    ("srt://cam:9999?streamid=publish:cam:me:pw", "srt://cam:9999?streamid=***"),
    ("http://go/api?src=rtsp%3A%2F%2Fuser7%3Apw%40cam", "http://go/api?src=rtsp%3A%2F%2F***%40cam"),
    ("http://cam/x?pwd=se#cret", "http://cam/x?pwd=***"),
    ("http://cam/x%3Fpassword%3Dsecret%26x%3D1", "http://cam/x%3Fpassword%3D***%26x%3D1"),
    ("http://cam/x?api%5Fkey=secret&y=1", "http://cam/x?api%5Fkey=***&y=1"),
    ("http://proxy/?url=rtsp://me:pw@cam/x", "http://proxy/?url=rtsp://***@cam/x"),
    ("http://proxy/?url=rtsp%3A%2F%2Fme%3Apw%40cam", "http://proxy/?url=rtsp%3A%2F%2F***%40cam"),
    ("rtsps://10.0.0.1:7441/aBcDeF12gHiJkL34?enableSrtp", "rtsps://10.0.0.1:7441/***?enableSrtp"),
    ("http://cam/live/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc/x", "http://cam/live/***/x"),
    ("rtsp://cam/Streaming/Channels/101", "rtsp://cam/Streaming/Channels/101"),
    ("rtsp://cam/h264Preview_01_main", "rtsp://cam/h264Preview_01_main"),
    ("https://h/x?hdnts=exp=12~acl=/*~hmac=ab", "https://h/x?hdnts=***~acl=/*~hmac=***"),
    (
        "rtspsrc location=rtsp://u:p@h/ user-id=me user-pw=secret ! d",
        "rtspsrc location=rtsp://***@h/ user-id=*** user-pw=*** ! d",
    ),
    ('rtspsrc user-pw="se ! cret" latency=0 ! d', "rtspsrc user-pw=*** latency=0 ! d"),
    ("rtspsrc user-pw = se\\ cret latency=0 ! d", "rtspsrc user-pw = *** latency=0 ! d"),
    (
        'souphttpsrc extra-headers="h,Authorization=(string)\\"Bearer a b\\"" location=http://h/ ! d',
        "souphttpsrc extra-headers=*** location=http://h/ ! d",
    ),
    ("admin:secret@192.168.1.5/stream", "***@192.168.1.5/stream"),
    ("rtsp:///admin:secret@cam/x", "rtsp://***@cam/x"),
    ("rtsp://admin/secret@192.168.1.5/x", "rtsp://***@192.168.1.5/x"),
    ("http://cam/x?t=12:30&user:admin&password:secret", "http://cam/x?t=12:30&user:***&password:***"),
    ("http://cam/login%3Apassword%3Asecret", "http://cam/login%3A***"),
    (
        "http://cam/x?uname=me&pass1=a&psk=b&senha=c&t=5",
        "http://cam/x?uname=***&pass1=***&psk=***&senha=***&t=5",
    ),
    ("http://cam/x;jsessionid=AB12;q=1", "http://cam/x;jsessionid=***;q=1"),
    ("rtsp:/admin:secret@cam/x", "***@cam/x"),
    ("me@home.org:se cret@10.0.0.5/stream", "***@10.0.0.5/stream"),
    ("rtsp://me@home.org:se/cret@10.0.0.5/x", "rtsp://***@10.0.0.5/x"),
    ("a@b.mp4", "a@b.mp4"),
    ("clip.mp4", "clip.mp4"),
]


@pytest.mark.parametrize(("text", "shown"), SHOWN, ids=[text[:30] for text, _ in SHOWN])
def test_what_is_shown(text: str, shown: str) -> None:
    address = Address(text)
    assert str(address) == shown
    assert redact(shown) == shown  # whoever hides it again changes nothing


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two rtsp://a:b@c/ and http://d:e@f/", "two rtsp://***@c/ and http://***@f/"),
        (
            "[Errno 111] refused: 'rtsp://u:my secret@c/x?token=ab'",
            "[Errno 111] refused: 'rtsp://***@c/x?token=***'",
        ),
        ("key=frame.mp4, then", "key=*** then"),
        ("user-pw = secret of rtsp://cam/x", "user-pw = *** of rtsp://cam/x"),
    ],
)
def test_a_sentence(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_only_secret_url_gives_what_was_typed() -> None:
    typed = "RTSP://admin:hunter2@10.0.0.5/live?token=abc"
    address = Address(typed)
    assert address.secret_url() == "rtsp" + typed[4:]
    assert address.scheme == "rtsp"
    seen = [
        *(str(address), repr(address), f"{address}", f"{address:>60}", json.dumps([address])),
        *(str(pickle.loads(pickle.dumps(address))), repr(copy.deepcopy([address])), address + "", address[:]),
        *(str(Address(address)), str({address: address}), address.encode().decode()),
    ]
    assert not [text for text in seen if "hunter2" in text or "abc" in text]
    assert Address(address) is address
    with pytest.raises(AttributeError, match="does not change"):
        address.scheme = "x"
    assert not hasattr(address, "__dict__")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "rtsp://admin:se#cret@cam/x",
            r"rtsp://\*\*\*@cam/x cannot be taken apart: write # as %23, / as %2F, \? as %3F",
        ),
        ("rtsp://admin:se/cret@cam/x", "@ as %40"),
        ("http://admin:se?cret@cam/x", "cannot be taken apart"),
        ("rtsp://admin:2023#secret@cam/x", "cannot be taken apart"),
        ("rtsp://admin:secret", r"rtsp://\*\*\* names no host with a number as its port"),
        ("rtsp://cam:99999/x", "number as its port"),
        ("rtsp:///live/x", "names no host"),
        ("rtsp://fe80::1/live", r"IPv6 address in brackets, as in rtsp://\[::1\]"),
    ],
)
def test_what_cannot_work_says_how_to_write_it(url: str, message: str) -> None:
    for opened in (open_source, open_network):
        with pytest.raises(SourceError, match=message) as caught:
            opened(url)
        assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://admin:12/secret@127.0.0.1:9/x", "http://a:p@ss/secret@127.0.0.1:9/x"]
)
def test_what_may_be_a_password_is_explained_when_it_does_not_open(url: str) -> None:
    with pytest.raises(SourceError, match="write # as %23") as caught:
        open_source(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "host", "port", "login"),
    [
        ("rtsp://cam/x", "cam", None, None),
        ("rtsp://cam:/x", "cam", None, None),
        ("RTSPS://me@Cam.local:322/x@y", "Cam.local", 322, ("me", "")),
        ("http://me:p%23%2F%3F%40%3A%25@10.0.0.5:80/x", "10.0.0.5", 80, ("me", "p#/?@:%")),
        (
            "http://me:p@s:s[1]\u2100@[fe80::1%25eth0]:8080?x",
            "fe80::1%25eth0",
            8080,
            ("me", "p@s:s[1]\u2100"),
        ),
        ("http://:secret@[::1]", "::1", None, ("", "secret")),
    ],
)
def test_parts(url: str, host: str, port: int | None, login: tuple[str, str] | None) -> None:
    address = Address(url)
    assert (address.host, address.port, address.secret_login()) == (host, port, login)
    bare = address.secret_url(login=False)
    assert Address(bare).secret_login() is None
    assert (Address(bare).host, Address(bare).port) == (host, port)
    moved = Address(address.secret_url(host="127.0.0.1:99"))
    assert (moved.host, moved.port, moved.secret_login()) == ("127.0.0.1", 99, login)


@pytest.mark.parametrize(
    "password", ["pa[ss", "pa]ss", "pa\u2100ss", "pa\\ss", "pa%zzss", "p\u00e4ss"], ids=ascii
)
@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_passwords_that_other_parsers_refuse(
    scheme: str, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Backoff, "wait_s", lambda self, attempt: 0.01)
    with pytest.raises(SourceError, match=r"://\*\*\*@127.0.0.1:9/x.*connection refused") as caught:
        list(open_source(f"{scheme}://admin:{password}@127.0.0.1:9/x"))
    assert password not in str(caught.value)


WORDS = st.from_regex(r"zq[0-9]{2}[A-Z]{2}x", fullmatch=True)
MARKS = st.text(st.sampled_from("#/?@:% ;!$,+~*'()[]|\\\"<>^`{}é\u2028.-"), min_size=1, max_size=3)


@st.composite
def passwords(draw: st.DrawFn, marks: st.SearchStrategy[str] = MARKS) -> tuple[list[str], str]:
    """Words that must not be seen, and a text that they make with any marks between them."""
    words = draw(st.lists(WORDS, min_size=1, max_size=3, unique=True))
    return words, words[0] + "".join(draw(marks) + word for word in words[1:])


def unseen(words: list[str], url: str) -> None:
    address = Address(url)
    seen = [str(address), repr(address), f"{address}", json.dumps(address), redact(str(address))]
    try:
        address.check()
    except SourceError as error:
        seen.append(str(error))
    found = [text for text in seen if any(word in text for word in words)]
    assert not found, url


@given(passwords(), passwords(), st.sampled_from(["cam", "10.0.0.5:554", "[::1]:80", "127.0.0.1:9"]))
@example((["x"], "x"), (["zq00AAx", "zq11BBx"], "zq00AAx://zq11BBx"), "cam")
def test_no_user_or_password_is_seen(
    user: tuple[list[str], str], password: tuple[list[str], str], host: str
) -> None:
    unseen(password[0], f"rtsp://admin:{password[1]}@{host}/live?size=3")
    unseen(password[0], f"http://admin:{password[1]}@{host}")
    if user[1].isalnum():
        unseen(user[0] + password[0], f"rtsp://{user[1]}:{password[1]}@{host}/live")


OPTIONS = (
    "password",
    "PSWD",
    "psw",
    "loginpas",
    "jwt",
    "access_token",
    "X-Amz-Signature",
    "api_key",
    "user_pw",
    "auth",
)


@given(
    passwords(),
    st.sampled_from(OPTIONS),
    st.sampled_from(["/x?a=1&{}&b=2", "/{}_channel=1", "/x;{}", "/x#{}"]),
)
def test_no_option_is_seen(password: tuple[list[str], str], key: str, place: str) -> None:
    unseen(password[0], "http://cam:80" + place.format(f"{key}={password[1]}"))


@given(passwords(st.text(st.sampled_from("#/?@:%;!$,+~*"), min_size=1, max_size=3)))
def test_no_password_is_seen_in_a_sentence(password: tuple[list[str], str]) -> None:
    text = redact(f"cannot open 'rtsp://admin:{password[1]}@cam/x': refused, http://other/ too")
    assert not [word for word in password[0] if word in text]
    assert text.endswith("refused, http://other/ too")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot open rtsp:/me:pw@cam/live: no", "cannot open ***@cam/live: no"),
        ("no such file: 'me:pw@cam/live'", "no such file: '***@cam/live'"),
        ("at 10:30 mail a@b", "at 10:30 mail a@b"),
    ],
)
def test_a_login_without_a_scheme_in_a_sentence(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize("piece", ["a:", ":@", "%41", "/token", "?a%5B", "=", "%3A%2F%2F"])
def test_long_texts_take_no_longer_than_their_length(piece: str) -> None:
    assert len(redact(f"x {piece * 5_000}")) < 60_000
