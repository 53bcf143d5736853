"""All the ways in which one value may be written down: as it is, escaped, or encoded."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from html import escape
from urllib.parse import quote_from_bytes, quote_plus

MIN_CHARACTERS = 8
"""A shorter value is not looked for: it would be found in text that has nothing to do with it."""
MAX_ENCODED_LINES = 256
"""Of a value with more lines each line is looked for as it is, not in its other forms."""
_RARE_FORMS_BYTES = 1 << 16
"""A longer value is not looked for in the forms that hardly any program writes: they take many megabytes."""

_URL_SAFE = ("", "/", "-_.!~*'()", "-_.!~*'();,/?:@&=+$#")  # the last two: encodeURIComponent, encodeURI
_XML_QUOTES = (('"', "'"), ("&quot;", "'"), ("&quot;", "&#x27;"), ("&quot;", "&#39;"), ("&quot;", "&apos;"))
_WRAPPED_BASE64 = (76, 64)  # `base64` and MIME; PEM
_WRAPPED_HEX = 60  # `xxd -p`
_JSON_EXTRA = ("", "<>&\u2028\u2029", "<>&'\"+`\u2028\u2029\x7f")  # Python; Go; .NET


def forms_of(value: str) -> frozenset[bytes]:
    """Returns every form of a value and of each of its lines; none of a value that is too short.

    The forms: itself; escaped for JSON (ASCII only or not, `/` escaped or not, `<>&'+` escaped or not, every
    character escaped, and a second time as JSON inside JSON); escaped for XML and HTML; percent-encoded as
    `quote`, `quote_plus`, `encodeURI` and `encodeURIComponent` do it, or every byte, with digits of either
    case; base64 of either alphabet wherever the value begins in what is encoded, without the characters at
    its edges that other bytes have a part in; base64 and hex in lines, as `base64` and `xxd -p` print a value
    alone; hex of either case.
    """
    lines = {line.strip() for line in value.splitlines()}
    found = set(_forms(value)) if len(value) >= MIN_CHARACTERS else set()
    for line in lines:
        if len(line) >= MIN_CHARACTERS and line != value:
            found.update(_forms(line) if len(lines) <= MAX_ENCODED_LINES else (_raw(line),))
    return frozenset(found)


def _forms(value: str) -> Iterator[bytes]:
    raw = _raw(value)
    rare = len(raw) <= _RARE_FORMS_BYTES
    yield raw
    yield from _json(value, rare=rare)
    yield from (_raw(text) for text in _xml(value))
    yield from _url(raw, rare=rare)
    yield from _base64(raw)
    yield from _hex(raw)


def _raw(value: str) -> bytes:
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return value.encode("utf-8", "surrogatepass")


def _json(value: str, *, rare: bool) -> Iterator[bytes]:
    for text in set(_json_text(value, _JSON_EXTRA if rare else _JSON_EXTRA[:1])):
        yield _raw(text)
        yield from (_raw(twice) for twice in _json_plain(text))
    if rare:
        units = value.encode("utf-16-be", "surrogatepass")
        codes = [units[at : at + 2].hex() for at in range(0, len(units), 2)]
        yield "".join(f"\\u{code}" for code in codes).encode()
        yield "".join(f"\\u{code.upper()}" for code in codes).encode()


def _json_plain(text: str) -> tuple[str, str]:
    return json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]


def _json_text(value: str, extras: Iterable[str]) -> Iterator[str]:
    for extra in extras:
        table = {ord(character): f"\\u{ord(character):04x}" for character in extra if character != '"'}
        quote = "\\u0022" if '"' in extra else '\\"'
        for parts in zip(*map(_json_plain, value.split('"')), strict=True):
            text = quote.join(part.translate(table) for part in parts)
            for each in {text, text.replace("/", "\\/")}:
                yield each
                yield _upper_digits(each)


def _upper_digits(text: str) -> str:
    head, *rest = text.split("\\u")
    return head + "".join(f"\\u{part[:4].upper()}{part[4:]}" for part in rest)


def _xml(value: str) -> Iterator[str]:
    text = escape(value, quote=False)
    for double, single in _XML_QUOTES:
        quoted = text.replace('"', double).replace("'", single)
        yield quoted
        yield quoted.replace("\t", "&#9;").replace("\n", "&#10;").replace("\r", "&#13;")


def _url(raw: bytes, *, rare: bool) -> Iterator[bytes]:
    encoded = {quote_from_bytes(raw, safe=safe) for safe in (_URL_SAFE if rare else _URL_SAFE[:2])}
    encoded.add(quote_plus(raw))
    if rare:
        encoded.add("".join(f"%{byte:02X}" for byte in raw))
    for text in encoded:
        yield text.encode()
        yield _lower_digits(text).encode()


def _lower_digits(text: str) -> str:
    head, *rest = text.split("%")
    return head + "".join(f"%{part[:2].lower()}{part[2:]}" for part in rest)


def _base64(raw: bytes) -> Iterator[bytes]:
    for before in range(3):
        text = base64.b64encode(bytes(before) + raw)
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        yield from _both_alphabets(text[first:last])
    for width in _WRAPPED_BASE64:
        whole = base64.b64encode(raw)[: len(raw) * 8 // 6]
        if len(whole) > width:
            for line_end in (b"\n", b"\r\n", b"\\n", b"\\r\\n"):
                yield _wrapped(whole, width, line_end)


def _both_alphabets(text: bytes) -> Iterable[bytes]:
    return (text, text.translate(bytes.maketrans(b"+/", b"-_")))


def _hex(raw: bytes) -> Iterator[bytes]:
    text = raw.hex()
    for each in (text, text.upper()):
        yield each.encode()
    if len(text) > _WRAPPED_HEX:
        yield _wrapped(text.encode(), _WRAPPED_HEX, b"\n")
        yield _wrapped(text.encode(), _WRAPPED_HEX, b"\\n")


def _wrapped(text: bytes, width: int, line_end: bytes) -> bytes:
    return line_end.join(text[at : at + width] for at in range(0, len(text), width))
