"""Nothing secret is printed, in words or in JSON."""

from __future__ import annotations

import json

import pytest

from orchestrator.cli.edge import render
from orchestrator.cli.screen import Screen, Styled
from orchestrator.errors import Failed
from orchestrator.redaction.redactor import Redactor

SECRET = "c4n4ry-value"


def _screen(*, as_json: bool = False, **more: str) -> Screen:
    screen = Screen(as_json=as_json)
    screen.redactor = Redactor()
    for name, value in {"TOKEN": SECRET, **more}.items():
        screen.redactor.add(name, value)
    return screen


def test_every_kind_of_line_is_redacted(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    screen = _screen()
    screen.verbose = 1

    screen.out("a ", Styled(SECRET, "red"))
    screen.note(f"b {SECRET}")
    screen.detail(f"c {SECRET}")
    screen.warn(f"d {SECRET}")
    screen.error("e ", SECRET)
    screen.raw(f"f {SECRET}\n".encode())
    render(Failed(f"g {SECRET}", code="x", hint=f"h {SECRET}"), screen, debug=True)

    printed = b"".join(capsysbinary.readouterr())
    assert SECRET.encode() not in printed
    assert printed.count(b"[redacted:TOKEN]") >= 8


def test_words_of_ours_stay_when_somebody_has_one_for_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    screen = _screen(as_json=True, ODD="schema_version")

    screen.json({"text": f"{SECRET} schema_version"})

    assert json.loads(capsys.readouterr().out) == {
        "schema_version": 1,
        "text": "[redacted:TOKEN] [redacted:ODD]",
    }


def test_a_report_of_a_bug_holds_no_secret(
    capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    logs = tmp_path_factory.mktemp("logs")
    try:
        raise RuntimeError(f"broke on {SECRET}")
    except RuntimeError as error:
        status = render(error, _screen(), debug=False, logs_dir=str(logs))

    report = next(logs.iterdir()).read_text()
    assert status == 70
    assert "broke on [redacted:TOKEN]" in report
    assert SECRET not in report + capsys.readouterr().err
