"""What only happens where a person sits: questions, the pager, colour, the live tree, `--watch`."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import ENTRY, Answer, Call, process

pytestmark = pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo terminals")

ASKED = 'version: 1\nverify:\n  lint: [["true"]]\n'


def on_terminal(
    *arguments: str,
    cwd: Path,
    answers: str = "",
    question: str = "",
    until: Callable[[str], bool] | None = None,
    variables: dict[str, str] | None = None,
    **more: str,
) -> Answer:
    """Runs a command line on a terminal, types `answers` (once `question` is there), returns what appeared.

    With `until`, an interrupt is sent once the screen satisfies it.
    """
    ours, theirs = os.openpty()
    child = subprocess.Popen(  # a real process on a terminal
        [sys.executable, "-c", ENTRY, *arguments],
        cwd=cwd,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", **(variables or {}), **more},
        start_new_session=True,
    )
    os.close(theirs)
    if not question:
        os.write(ours, answers.encode())
    shown, sent, end = b"", False, time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                data = os.read(ours, 65536)
            except OSError:
                break
            if not data:
                break
            shown += data
            if question and question.encode() in shown:
                os.write(ours, answers.encode())
                question = ""
        if until is not None and not sent and until(shown.decode(errors="replace")):
            child.send_signal(signal.SIGINT)
            sent = True
        if child.poll() is not None and not select.select([ours], [], [], 0)[0]:
            break
    os.close(ours)
    child.wait(timeout=10)
    return Answer(child.returncode, shown.decode(errors="replace").replace("\r\n", "\n"), "")


@pytest.fixture
def untrusted(repository: Path) -> Path:
    (repository / ".orchestrator").mkdir()
    (repository / ".orchestrator" / "workflow.yaml").write_text(ASKED)
    assert process("init", cwd=repository).status == 0
    return repository


@pytest.mark.parametrize(
    ("typed", "status", "trusted"), [("y\n", 0, True), ("\n", 2, False), ("n\n", 2, False)]
)
def test_trust_is_asked_and_only_yes_is_yes(untrusted: Path, typed: str, status: int, trusted: bool) -> None:
    answer = on_terminal("trust", cwd=untrusted, answers=typed)

    assert "verify.lint.0: true" in answer.out or "verify.lint" in answer.out
    assert "Trust this repository to run these commands? [y/N] " in answer.out
    assert answer.status == status
    assert process("trust", "--show", "--json", cwd=untrusted).json["trusted"] is trusted


def test_run_asks_for_trust_and_goes_on_with_a_yes(untrusted: Path) -> None:
    refused = on_terminal("run", "x", "--command", "true", "--run-id", "a", cwd=untrusted, answers="\n")
    agreed = on_terminal("run", "x", "--command", "true", "--run-id", "b", cwd=untrusted, answers="y\n")

    assert (refused.status, "error[not-trusted]" in refused.out) == (2, True)
    assert agreed.status == 0
    assert "run b\n" in agreed.out


@pytest.mark.parametrize("how", [{"CI": "true"}, {}])
def test_nobody_is_asked_in_ci_or_with_no_input(untrusted: Path, how: dict[str, str]) -> None:
    flags = [] if how else ["--no-input"]
    answer = on_terminal("trust", *flags, cwd=untrusted, answers="y\n", variables=how)

    assert answer.status == 2
    assert "[y/N]" not in answer.out


CODESPACE = {"CODESPACES": "true", "CODESPACE_NAME": "a"}


def test_nobody_is_asked_in_a_codespace_unless_that_is_said(untrusted: Path) -> None:
    words = ("run", "x", "--command", "true")
    silent = on_terminal(*words, cwd=untrusted, variables=CODESPACE)
    (untrusted / ".orchestrator" / "workflow.local.yaml").write_text("web: {no_input: false}\n")
    asked = on_terminal(*words, cwd=untrusted, answers="y\n", question="[y/N]", variables=CODESPACE)

    assert silent.status == 2
    assert "[y/N]" not in silent.out
    assert "error[not-trusted]" in silent.out
    assert asked.status == 0


def test_init_asks_once(repository: Path) -> None:
    (repository / ".orchestrator").mkdir()
    (repository / ".orchestrator" / "workflow.yaml").write_text(ASKED)

    answer = on_terminal("init", cwd=repository, answers="y\n")

    assert answer.out.count("[y/N]") == 1
    assert process("trust", "--show", "--json", cwd=repository).json["trusted"] is True


def test_discard_and_undo_ask(project: Path) -> None:
    process("run", "x", "--command", "touch made", "--run-id", "a", cwd=project)

    kept = on_terminal("discard", "a", cwd=project, answers="n\n")
    dropped = on_terminal("discard", "a", cwd=project, answers="yes\n")
    back = on_terminal("undo", cwd=project, answers="y\n")
    stays = on_terminal("undo", cwd=project, answers="\n")

    assert (kept.status, "error[not-confirmed]" in kept.out) == (2, True)
    assert dropped.status == 0
    assert (back.status, "Take back the discard of run a" in back.out) == (0, True)
    assert (stays.status, "Nothing was undone." in stays.out) == (2, True)


@pytest.fixture
def ran(project: Path) -> Path:
    code = "printf 'evil \\033[31m\\n' > made"
    assert process("run", "x", "--command", f'sh -c "{code}"', "--run-id", "a", cwd=project).status == 0
    return project


def test_a_diff_goes_through_the_pager_escaped(ran: Path) -> None:
    answer = on_terminal("diff", "a", cwd=ran, ORCHESTRATOR_PAGER="sed 's/^/P:/'", PAGER="false")

    assert "P:+evil \\x1b[31m\n" in answer.out
    assert "\x1b[31m" not in answer.out


@pytest.mark.parametrize(
    ("flags", "variables"),
    [
        (["--no-pager"], {"PAGER": "sed 's/^/P:/'"}),
        ([], {"PAGER": "cat"}),
        ([], {"PAGER": ""}),
        ([], {"PAGER": "sed", "TERM": "dumb"}),
    ],
)
def test_there_is_a_way_round_the_pager(ran: Path, flags: list[str], variables: dict[str, str]) -> None:
    answer = on_terminal("diff", "a", *flags, cwd=ran, variables=variables)

    assert "\n+evil \\x1b[31m\n" in answer.out


@pytest.mark.parametrize(
    ("pager", "complaint"),
    [("no-such-pager", "no-such-pager could not be started"), ("a 'b", "cannot be split into words")],
)
def test_a_pager_that_cannot_be_started_is_told_and_done_without(
    ran: Path, pager: str, complaint: str
) -> None:
    answer = on_terminal("log", "a", cwd=ran, GIT_PAGER=pager)

    assert complaint in answer.out
    assert "run started from" in answer.out


def test_a_pager_that_is_left_early_is_no_error(ran: Path) -> None:
    assert on_terminal("log", "a", cwd=ran, PAGER="true").status == 0


def test_status_is_coloured_on_a_terminal_unless_no_color(ran: Path) -> None:
    coloured = on_terminal("status", cwd=ran)
    plain = on_terminal("status", cwd=ran, NO_COLOR="1")

    assert "\x1b[32mcompleted\x1b[0m" in coloured.out
    assert "\x1b[" not in plain.out


def test_watching_shows_the_status_until_interrupted(ran: Path) -> None:
    answer = on_terminal("status", "--watch", cwd=ran, until=lambda shown: shown.count("RUN ") > 1)

    assert answer.status == 130
    assert answer.out.startswith("\x1b[H\x1b[2J")


def test_watching_due_runs_ends_with_an_interrupt(ran: Path) -> None:
    answer = on_terminal("resume", "--due", "--watch", cwd=ran, until=lambda shown: "Watching" in shown)

    assert answer.status == 130


def test_a_run_is_shown_as_a_tree(project: Path) -> None:
    answer = on_terminal(
        "run", "x", "--command", "sh -c 'echo working; sleep 1; touch made'", "--run-id", "a", cwd=project
    )

    assert answer.status == 0
    assert "\x1b[?25l" in answer.out
    assert "phase-001" in answer.out
    assert answer.out.rstrip().endswith("orchestrator discard a")


def test_a_run_on_a_dumb_terminal_is_shown_in_lines(project: Path) -> None:
    answer = on_terminal("run", "x", "--command", "true", "--run-id", "a", cwd=project, TERM="dumb")

    assert "\x1b" not in answer.out
    assert "phase phase-001 completed\n" in answer.out


def test_the_shell_completes_commands_and_run_ids(ran: Path) -> None:
    def complete(words: str, index: int) -> list[str]:
        answer = process(
            cwd=ran,
            _ORCHESTRATOR_COMPLETE="complete_bash",
            COMP_WORDS=words,
            COMP_CWORD=str(index),
        )
        return answer.out.split()

    assert complete("orchestrator check", 1) == ["checkpoints"]
    assert complete("orchestrator log ", 2) == ["a"]
    assert complete("orchestrator log b", 2) == []
    assert complete("orchestrator config s", 2) == ["show", "schema"]


def test_completion_outside_of_a_repository_is_silent(home: Path, tmp_path: Path) -> None:
    answer = process(
        cwd=tmp_path, _ORCHESTRATOR_COMPLETE="complete_bash", COMP_WORDS="orchestrator log ", COMP_CWORD="2"
    )

    assert (answer.out.strip(), answer.err) == ("", "")


def test_the_completion_script_can_be_shown(home: Path, tmp_path: Path) -> None:
    answer = process(
        "--show-completion", "bash", cwd=tmp_path, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1"
    )

    assert "_ORCHESTRATOR_COMPLETE" in answer.out


def test_status_of_a_read_only_snapshot_says_so(
    call: Call, ran: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.cli import status_view
    from orchestrator.cli.screen import Screen
    from orchestrator.state.peek import peek

    glance = peek(str(ran / ".orchestrator" / "state.db"))
    assert glance is not None
    glance["snapshot"] = True

    assert "snapshot" in str(status_view.document(glance, set())["warnings"])
    status_view.show_runs(Screen(), glance, set())
