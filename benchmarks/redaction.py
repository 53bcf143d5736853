"""How fast secrets are taken out of what an agent prints: 20 known values in all their forms, and keys."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from pathlib import Path

import orchestrator
from benchmarks.place import Place, Sizes
from benchmarks.rounds import Result, interleave
from orchestrator.redaction.redactor import Redactor

_SECRETS = 20
_CHUNK_BYTES = 1 << 16
_LINES_BETWEEN = 100


def redaction(place: Place, sizes: Sizes, rounds: int) -> list[Result]:
    """Measures a stream in pieces of 64 KiB, as a supervised program's output comes, and a plain copy of it.

    The text is the source code of this package. Of the second text every hundredth line ends with a secret.
    """
    redactor, values = _knowing(_SECRETS)
    plain = _text(sizes.redacted_mb << 20)
    lines = plain.split(b"\n")
    for number in range(0, len(lines), _LINES_BETWEEN):
        lines[number] += values[number // _LINES_BETWEEN % _SECRETS].encode()
    leaking = b"\n".join(lines)
    timings = interleave(
        {
            "copy": lambda: _through(plain, _same),
            "clean": lambda: _redact(redactor, plain),
            "leaking": lambda: _redact(redactor, leaking),
        },
        rounds,
    )
    what = f"{sizes.redacted_mb} MiB of text, {_SECRETS} secrets"
    return [
        timings.speed("redaction", f"{what}, none of them in it", of="clean", size_bytes=len(plain), goal=50),
        timings.speed(
            "redaction",
            f"{what}, one in every {_LINES_BETWEEN} lines",
            of="leaking",
            size_bytes=len(leaking),
            goal=50,
        ),
        timings.speed("redaction", "the same bytes, only copied", of="copy", size_bytes=len(plain)),
        timings.ratio("redaction", f"{what}, to a plain copy", of="clean", to="copy"),
    ]


def _knowing(count: int) -> tuple[Redactor, list[str]]:
    chance, redactor = random.Random(20), Redactor()
    alphabet = string.ascii_letters + string.digits + "+/_-"
    values = ["".join(chance.choices(alphabet, k=chance.choice((16, 24, 40, 64, 100)))) for _ in range(count)]
    for number, value in enumerate(values):
        redactor.add(f"SECRET_{number}", value)
    return redactor, values


def _text(size_bytes: int) -> bytes:
    root = Path(orchestrator.__file__).parent
    source = b"".join(path.read_bytes() for path in sorted(root.rglob("*.py")))
    return (source * (size_bytes // len(source) + 1))[:size_bytes]


def _redact(redactor: Redactor, data: bytes) -> None:
    stream = redactor.stream()
    _through(data, stream.feed)
    stream.flush()


def _through(data: bytes, receive: Callable[[bytes], bytes]) -> None:
    kept = bytearray()
    for at in range(0, len(data), _CHUNK_BYTES):
        kept += receive(data[at : at + _CHUNK_BYTES])


def _same(data: bytes) -> bytes:
    return data
