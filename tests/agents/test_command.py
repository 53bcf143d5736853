from __future__ import annotations

import json
import os
import stat
import sys
import time
from pathlib import Path

import pytest

from orchestrator.agents.command import CommandAgent
from orchestrator.errors import Refused
from orchestrator.model.agent import AgentRequest, Ending, Finished, Health, Said, Started
from orchestrator.process import leftovers
from tests.agents.conftest import MARK, Turn, finished

PYTHON = sys.executable
SHOW = """
import json, os, sys
facts = {'argv': sys.argv[1:], 'env': dict(os.environ), 'cwd': os.getcwd(), 'stdin': sys.stdin.read()}
json.dump(facts, open('shown.json', 'w'))
"""


def shown(worktree: Path) -> dict[str, object]:
    value = json.loads((worktree / "shown.json").read_text())
    assert isinstance(value, dict)
    return value


def test_a_turn_starts_once_and_ends_with_what_it_used(take: Turn) -> None:
    events = take(CommandAgent("fixer", (PYTHON, "-c", "print('hello'); print('there')")))

    assert isinstance(events[0], Started)
    assert events[1] == Said("hello\nthere")
    end = finished(events)
    assert (end.ending, end.exit_status, end.detail) == (Ending.FINISHED, 0, "")
    assert end.usage.wall_s > 0
    assert end.usage.peak_memory_bytes > 0


def test_placeholders_are_replaced_once_and_nothing_inside_the_prompt_is(take: Turn, worktree: Path) -> None:
    words = (PYTHON, "-c", SHOW, "{prompt}", "--at={worktree}", "a{prompt}b", "{other}")

    take(CommandAgent("fixer", words), prompt="do {worktree} $(date)")

    assert shown(worktree)["argv"] == [
        "do {worktree} $(date)",
        f"--at={worktree}",
        "ado {worktree} $(date)b",
        "{other}",
    ]
    assert shown(worktree)["cwd"] == str(worktree)


@pytest.mark.parametrize(
    ("words", "received"),
    [
        (("{prompt}",), [" --delete everything"]),
        (("--", "{prompt}"), ["--", "--delete everything"]),
        (("--message={prompt}",), ["--message=--delete everything"]),
    ],
)
def test_a_prompt_that_begins_with_a_dash_never_becomes_an_option(
    take: Turn, worktree: Path, words: tuple[str, ...], received: list[str]
) -> None:
    take(CommandAgent("fixer", (PYTHON, "-c", SHOW, *words)), prompt="--delete everything")

    assert shown(worktree)["argv"] == received


def test_the_prompt_file_is_private_and_lies_beside_the_transcript_outside_of_the_tree(
    take: Turn, worktree: Path, request_: AgentRequest
) -> None:
    take(CommandAgent("fixer", (PYTHON, "-c", SHOW, "{prompt_file}")), prompt="größe\n\0end")

    arguments = shown(worktree)["argv"]
    assert isinstance(arguments, list)
    path = arguments[0]
    assert path == request_.transcript + ".prompt"
    assert Path(path).read_bytes() == "größe\n\0end".encode()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert worktree not in Path(path).parents


def test_the_prompt_comes_on_standard_input_only_when_asked(take: Turn, worktree: Path) -> None:
    agent = CommandAgent("fixer", (PYTHON, "-c", SHOW), stdin="prompt")
    take(agent, prompt="p" * 300_000)
    on_stdin = shown(worktree)["stdin"]

    take(CommandAgent("fixer", (PYTHON, "-c", SHOW)), prompt="repair")

    assert on_stdin == "p" * 300_000
    assert shown(worktree)["stdin"] == ""


def test_a_nul_in_the_prompt_does_not_keep_the_agent_from_starting(take: Turn, worktree: Path) -> None:
    events = take(CommandAgent("fixer", (PYTHON, "-c", SHOW, "{prompt}")), prompt="a\0b")

    assert finished(events).ending is Ending.FINISHED
    assert shown(worktree)["argv"] == ["a\N{REPLACEMENT CHARACTER}b"]


def test_the_environment_holds_what_is_named_and_nothing_else_of_the_callers(
    take: Turn, worktree: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "hunter2")
    agent = CommandAgent("fixer", (PYTHON, "-c", SHOW), variables={"NAMED": "yes", "LANG": "C"})

    take(
        agent,
        environment={**os.environ, "ORCHESTRATOR_EXECUTION": "forged", "OTHER_SECRET": "x"},
        added={"GIT_CEILING_DIRECTORIES": "/above"},
    )

    environment = shown(worktree)["env"]
    assert isinstance(environment, dict)
    assert environment["NAMED"] == "yes"
    assert environment["LANG"] == "C"
    assert environment["HOME"] == str(home)
    assert environment["ORCHESTRATOR_EXECUTION"] == MARK
    assert environment["GIT_CEILING_DIRECTORIES"] == "/above"
    assert not {"A_SECRET", "OTHER_SECRET"} & environment.keys()


def test_configured_variables_cannot_take_the_marks_away(take: Turn, worktree: Path) -> None:
    agent = CommandAgent("fixer", (PYTHON, "-c", SHOW), variables={"ORCHESTRATOR_EXECUTION": ""})

    take(agent)

    environment = shown(worktree)["env"]
    assert isinstance(environment, dict)
    assert environment["ORCHESTRATOR_EXECUTION"] == MARK


def test_a_failure_tells_the_status_and_the_last_line(take: Turn) -> None:
    code = (
        "import sys; print('working'); print('\\x1b[31mno such file\\x1b[0m', file=sys.stderr); sys.exit(7)"
    )

    end = finished(take(CommandAgent("fixer", (PYTHON, "-c", code))))

    assert (end.ending, end.exit_status) == (Ending.FAILED, 7)
    assert end.detail == "exit status 7: no such file"


def test_a_signal_is_a_failure_without_a_status(take: Turn) -> None:
    end = finished(take(CommandAgent("fixer", (PYTHON, "-c", "import os; os.kill(os.getpid(), 11)"))))

    assert (end.ending, end.exit_status) == (Ending.FAILED, None)
    assert end.detail.startswith("killed by signal 11")


def test_a_program_that_is_missing_ends_without_a_start(take: Turn) -> None:
    events = take(CommandAgent("fixer", ("/nonexistent/program",)))

    assert len(events) <= 2
    end = finished(events)
    assert end.ending is Ending.FAILED
    assert end.detail


def test_the_deadline_and_silence_end_a_turn(take: Turn) -> None:
    sleeper = CommandAgent("sleeper", (PYTHON, "-c", "import time; time.sleep(600)"))

    late = finished(take(sleeper, timeout_s=0.3))
    silent = finished(take(sleeper, idle_timeout_s=0.3))

    assert (late.ending, late.exit_status) == (Ending.DEADLINE, None)
    assert (silent.ending, silent.exit_status) == (Ending.IDLE, None)
    assert late.detail
    assert silent.detail


def test_the_program_waits_until_its_process_was_recorded(worktree: Path, request_: AgentRequest) -> None:
    agent = CommandAgent("fixer", (PYTHON, "-c", "open('began', 'w')"))
    events = agent.run(request_, worktree=worktree, cancelled=lambda: False)

    first = next(events)
    time.sleep(0.5)  # not a deadline: only gives a program that does not wait the time to show itself
    began_before = (worktree / "began").exists()
    rest = list(events)

    assert isinstance(first, Started)
    assert first.process[0] > 0
    assert not began_before
    assert isinstance(rest[-1], Finished)
    assert (worktree / "began").exists()


def test_closing_the_turn_before_the_process_was_recorded_runs_nothing(
    worktree: Path, request_: AgentRequest
) -> None:
    agent = CommandAgent("fixer", (PYTHON, "-c", "open('began', 'w')"))
    events = agent.run(request_, worktree=worktree, cancelled=lambda: False)
    next(events)

    events.close()  # type: ignore[attr-defined]

    assert not (worktree / "began").exists()
    assert leftovers.find(request_.marker) == []


def test_an_error_while_recording_ends_every_process(worktree: Path, request_: AgentRequest) -> None:
    agent = CommandAgent("fixer", (PYTHON, "-c", "print('x', flush=True); import time; time.sleep(600)"))
    events = agent.run(request_, worktree=worktree, cancelled=lambda: False)

    with pytest.raises(KeyError):  # noqa: PT012 - the error passes through the loop that consumes the events
        for event in events:
            if isinstance(event, Said):
                events.throw(KeyError("disk full"))  # type: ignore[attr-defined]

    assert leftovers.find(request_.marker) == []


def test_a_cancel_ends_the_turn_and_is_told_as_such(worktree: Path, request_: AgentRequest) -> None:
    asked: list[bool] = []
    agent = CommandAgent("fixer", (PYTHON, "-c", "import time; time.sleep(600)"))

    def cancelled() -> bool:
        asked.append(True)
        return len(asked) > 3

    events = list(agent.run(request_, worktree=worktree, cancelled=cancelled))

    assert finished(events).ending is Ending.CANCELLED
    assert leftovers.find(request_.marker) == []


def test_cancelled_is_asked_in_the_thread_that_consumes_the_events(
    worktree: Path, request_: AgentRequest
) -> None:
    import threading

    threads = set()

    def cancelled() -> bool:
        threads.add(threading.get_ident())
        return False

    list(CommandAgent("x", (PYTHON, "-c", "")).run(request_, worktree=worktree, cancelled=cancelled))

    assert threads == {threading.get_ident()}


def test_a_flood_of_output_is_shown_as_its_end_and_kept_in_the_transcript(
    take: Turn, request_: AgentRequest
) -> None:
    code = "import sys\nfor n in range(200000): print('line', n)\nsys.stdout.write('x' * 100000)"

    events = take(CommandAgent("chatty", (PYTHON, "-c", code)))

    said = [event.text for event in events if isinstance(event, Said)]
    assert said
    assert all(len(text) <= 4000 for text in said)
    assert said[-1].endswith("x" * 100)
    assert Path(request_.transcript).stat().st_size > 2_000_000
    assert stat.S_IMODE(os.stat(request_.transcript).st_mode) == 0o600


@pytest.mark.parametrize("words", [(), ("",), ("{prompt}",), ("x{worktree}", "a")])
def test_a_command_without_a_program_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(Refused) as error:
        CommandAgent("fixer", words)

    assert error.value.code == "agent-command-invalid"


@pytest.mark.parametrize(
    ("words", "stdin", "expected"),
    [
        (("ruff", "check"), "none", False),
        (("tool", "{worktree}"), "none", False),
        (("tool", "-m={prompt}"), "none", True),
        (("tool", "{prompt_file}"), "none", True),
        (("tool",), "prompt", True),
    ],
)
def test_it_knows_whether_a_prompt_reaches_it(words: tuple[str, ...], stdin: str, expected: bool) -> None:
    agent = CommandAgent("fixer", words, stdin="prompt" if stdin == "prompt" else "none")

    assert agent.takes_prompt is expected


def test_probing_finds_the_program_and_starts_nothing(tmp_path: Path, home: Path) -> None:
    tool = tmp_path / "bin" / "tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\ntouch " + str(tmp_path / "ran") + "\n")
    tool.chmod(0o755)

    found = CommandAgent("x", ("tool",), variables={"PATH": f"{tool.parent}"}).probe()
    missing = CommandAgent("x", ("no-such-tool",)).probe()
    local = CommandAgent("x", ("./tool",)).probe()
    absolute = CommandAgent("x", (str(tool),)).probe()

    assert (found.health, found.path) == (Health.READY, str(tool))
    assert missing.health is Health.MISSING
    assert local.health is Health.READY
    assert absolute.path == str(tool)
    assert not (tmp_path / "ran").exists()
