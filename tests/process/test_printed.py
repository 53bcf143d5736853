"""What a supervised program prints is kept and handed on without secrets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from orchestrator.process.log import OutputLog
from orchestrator.process.printed import Printed
from orchestrator.process.spawn import supervise
from orchestrator.redaction.redactor import Redactor
from tests.process.conftest import MakeCommand

SECRET = "c4n4ry-value-of-it"
PRINTS = f"""
import time
secret = {SECRET!r}
print("one:", secret, flush=True)
for character in secret:
    print(character, end="", flush=True)
    time.sleep(0.002)
print()
print("ghp_" + "a1B2" * 9, flush=True)
print("last " + secret[:-1], end="", flush=True)
"""


def test_nothing_secret_reaches_the_log_or_the_receivers(python: MakeCommand, tmp_path: Path) -> None:
    redactor = Redactor()
    redactor.add("TOKEN", SECRET)
    log = tmp_path / "log"
    heard: list[bytes] = []
    command = replace(python(PRINTS), log=log, redactor=redactor)

    ended = supervise(
        command, on_started=lambda _: None, on_output=heard.append, on_error=lambda data: heard.append(data)
    )

    kept = log.read_bytes()
    assert ended.exit_status == 0
    assert ended.output_bytes > 3 * len(SECRET)
    assert SECRET.encode() not in kept
    assert SECRET.encode() not in b"".join(heard)
    assert kept.count(b"[redacted:TOKEN]") == 2
    assert b"[redacted:github-token]" in kept
    assert kept.endswith(b"last " + SECRET[:-1].encode())


def test_a_value_printed_half_to_each_stream_is_not_put_together_in_the_log(tmp_path: Path) -> None:
    redactor = Redactor()
    redactor.add("TOKEN", SECRET)
    heard: list[bytes] = []

    with OutputLog(tmp_path / "log", 1000) as log:
        printed = Printed(redactor, {"stdout": heard.append, "stderr": heard.append}, log)
        printed.take("stdout", b"> " + SECRET[:9].encode())
        printed.take("stderr", SECRET[9:].encode())
        printed.take("stdout", b"!")
        seen = printed.finish()

    assert seen == len(SECRET) + 3
    assert SECRET.encode() not in (tmp_path / "log").read_bytes()
