from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.agents.preset import PRESETS, PresetAgent
from orchestrator.model.agent import Cause, Ending, Health, Login, Opened, Said
from tests.agents.conftest import MARK, Turn, finished

FAKE = """#!{python} -IS
import json, os, sys
if sys.argv[1:] == ["--version"]:
    print("\\x1b[1m{name} 9.8.7\\x1b[0m")
    sys.exit({version_status})
facts = {{"argv": sys.argv[1:], "env": dict(os.environ), "stdin": sys.stdin.read()}}
json.dump(facts, open("shown.json", "w"))
sys.stdout.write(open({stream!r}).read())
print("a plain line")
sys.exit({status})
"""
Install = Callable[..., Path]
RECORDED = Path(__file__).parent / "recorded"


@pytest.fixture
def install(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Returns a function that puts a small program with an agent's name on PATH."""
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", str(place))

    def put(
        name: str, *, status: int = 0, version_status: int = 0, text: str | None = None, stream: str = ""
    ) -> Path:
        tool = place / name
        facts = {"python": sys.executable, "name": name, "status": status, "version_status": version_status}
        filled = FAKE.format(**facts, stream=str(RECORDED / f"{stream or name + '-write'}.jsonl"))
        tool.write_text(text if text is not None else filled)
        tool.chmod(0o755)
        return tool

    return put


def shown(worktree: Path) -> dict[str, object]:
    value = json.loads((worktree / "shown.json").read_text())
    assert isinstance(value, dict)
    return value


COMMAND_LINES = {
    "claude": "-p PROMPT --output-format stream-json --verbose "
    "--permission-mode bypassPermissions --model M -x",
    "codex": "exec --json --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox "
    "-c check_for_update_on_startup=false -c analytics.enabled=false -m M -x PROMPT",
    "gemini": "-p PROMPT -o stream-json --skip-trust --approval-mode yolo -m M -x",
    "copilot": "-p PROMPT --output-format json --no-ask-user --no-auto-update --allow-all-tools --model M "
    "--session-id UUID -x",
    "opencode": "run --format json --auto -m M -x PROMPT",
}


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_is_started_headless_with_model_and_words(
    name: str, install: Install, take: Turn, worktree: Path
) -> None:
    install(name)

    end = finished(take(PresetAgent(name, PRESETS[name], model="M", args=("-x",)), prompt="PROMPT"))

    assert end.ending is Ending.FINISHED
    session = end.agent_session if name == "copilot" else ""
    assert shown(worktree)["argv"] == COMMAND_LINES[name].replace("UUID", session).split()
    assert shown(worktree)["stdin"] == ""


RESUMED = {
    "claude": "-p PROMPT --resume ID --output-format stream-json --verbose "
    "--permission-mode bypassPermissions",
    "codex": "exec resume --json --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox "
    "-c check_for_update_on_startup=false -c analytics.enabled=false ID PROMPT",
    "gemini": "-p PROMPT --resume ID -o stream-json --skip-trust --approval-mode yolo",
    "copilot": "-p PROMPT --resume=ID --output-format json --no-ask-user --no-auto-update --allow-all-tools",
    "opencode": "run --format json --auto --session ID PROMPT",
}


@pytest.mark.parametrize("name", PRESETS)
def test_each_goes_on_with_its_own_session_in_its_own_form(
    name: str, install: Install, take: Turn, worktree: Path
) -> None:
    install(name)

    take(PresetAgent(name, PRESETS[name]), prompt="PROMPT", continues="ID")

    assert shown(worktree)["argv"] == RESUMED[name].split()


@pytest.mark.parametrize("session", ["--help", "a b", "../x", "", "x" * 300])
def test_what_can_be_no_session_starts_nothing(
    session: str, install: Install, take: Turn, worktree: Path
) -> None:
    install("claude")

    events = take(PresetAgent("claude", PRESETS["claude"]), continues=session or "\n")

    assert len(events) == 1
    assert (finished(events).ending, finished(events).cause) == (Ending.FAILED, Cause.SESSION_LOST)
    assert not (worktree / "shown.json").exists()


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("claude", ["--max-turns", "7", "--max-budget-usd", "0.25"]),
        ("codex", []),
        ("gemini", []),
        ("copilot", []),
        ("opencode", []),
    ],
)
def test_limits_are_handed_to_those_that_can_keep_them(
    name: str, limits: list[str], install: Install, take: Turn, worktree: Path
) -> None:
    install(name)
    take(PresetAgent(name, PRESETS[name]))
    without = shown(worktree)["argv"]

    take(PresetAgent(name, PRESETS[name]), max_turns=7, max_cost_usd=0.25)

    argv = shown(worktree)["argv"]
    assert isinstance(argv, list)
    assert isinstance(without, list)
    assert argv[len(without) :] == limits


def test_a_session_that_gets_its_id_from_us_is_told_before_anything_else(
    install: Install, take: Turn
) -> None:
    install("copilot")

    events = take(PresetAgent("copilot", PRESETS["copilot"], model="M"))

    opened = [event for event in events if isinstance(event, Opened)]
    assert events.index(opened[0]) == 1
    assert opened == [Opened(finished(events).agent_session, "M")]


def test_a_missing_login_is_told_with_the_command_that_logs_in(install: Install, take: Turn) -> None:
    install("codex", status=1, stream="codex-401")

    end = finished(take(PresetAgent("codex", PRESETS["codex"])))

    assert end.cause is Cause.CREDENTIAL
    assert end.detail.endswith("log in with: codex login")


@pytest.mark.parametrize("name", PRESETS)
def test_a_prompt_too_long_for_an_argument_comes_on_standard_input(
    name: str, install: Install, take: Turn, worktree: Path
) -> None:
    install(name)
    prompt = "ä" * 70_000

    take(PresetAgent(name, PRESETS[name]), prompt=prompt)

    facts = shown(worktree)
    assert facts["stdin"] == prompt
    argv = facts["argv"]
    assert isinstance(argv, list)
    assert ("-p" in argv) is (name == "claude")
    assert all(len(word) < 100 for word in argv)


@pytest.mark.parametrize("name", PRESETS)
def test_a_prompt_that_begins_with_a_dash_is_no_option(
    name: str, install: Install, take: Turn, worktree: Path
) -> None:
    install(name)

    take(PresetAgent(name, PRESETS[name]), prompt="--version")

    argv = shown(worktree)["argv"]
    assert isinstance(argv, list)
    assert " --version" in argv
    assert "--version" not in argv


def test_an_agent_gets_its_own_keys_and_quiet_settings_and_nobody_elses(
    install: Install, take: Turn, worktree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("claude")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "aws")

    agent = PresetAgent("claude", PRESETS["claude"], variables={"DISABLE_TELEMETRY": "0", "OWN": "1"})
    take(agent, environment=dict(os.environ))

    environment = shown(worktree)["env"]
    assert isinstance(environment, dict)
    assert environment["ANTHROPIC_API_KEY"] == "sk-ant"
    assert environment["DISABLE_AUTOUPDATER"] == "1"
    assert environment["DISABLE_TELEMETRY"] == "0"
    assert environment["OWN"] == "1"
    assert environment["ORCHESTRATOR_EXECUTION"] == MARK
    assert not {"OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY"} & environment.keys()


def test_its_json_stream_is_kept_and_shown_as_what_it_means(
    install: Install, take: Turn, request_: object, tmp_path: Path
) -> None:
    install("codex")

    events = take(PresetAgent("codex", PRESETS["codex"]))

    said = [event.text for event in events if isinstance(event, Said)]
    assert "a plain line" in said
    assert "I wrote hello.txt." in said
    assert not any("{" in text for text in said)
    transcript = (tmp_path / "artifacts" / "step-1.log").read_text()
    assert '"type":"turn.completed"' in transcript


def test_a_failure_is_explained_where_the_status_is_known(install: Install, take: Turn) -> None:
    install("gemini", status=173, stream="gemini-429")

    end = finished(take(PresetAgent("gemini", PRESETS["gemini"])))

    assert (end.ending, end.cause) == (Ending.FAILED, Cause.QUOTA)
    assert end.detail.startswith("exit status 173 (the service answered 429: too many requests): [API Error")


def test_a_program_in_the_tree_is_never_taken_for_the_agent(
    install: Install, take: Turn, worktree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = install("opencode")
    trap = worktree / "opencode"
    trap.write_text("#!/bin/sh\ntouch trapped\n")
    trap.chmod(0o755)
    monkeypatch.setenv("PATH", f".:{real.parent}")
    monkeypatch.chdir(worktree)

    take(PresetAgent("opencode", PRESETS["opencode"]))
    health = PresetAgent("opencode", PRESETS["opencode"]).probe()

    assert (worktree / "shown.json").exists()
    assert not (worktree / "trapped").exists()
    assert health.path == str(real)


def test_probing_tells_path_and_version(install: Install) -> None:
    tool = install("codex")

    health = PresetAgent("codex", PRESETS["codex"]).probe()

    assert (health.health, health.path, health.version) == (Health.READY, str(tool), "codex 9.8.7")


@pytest.mark.parametrize(
    ("version", "tested"),
    [("0.169.4", True), ("codex-cli 0.169.0", True), ("0.168.9", False), ("0.170.0", False), ("dev", None)],
)
def test_probing_tells_whether_the_version_is_one_that_was_tried(
    version: str, tested: bool | None, install: Install
) -> None:
    install("codex", text=f"#!/bin/sh\necho '{version}'\n")

    health = PresetAgent("codex", PRESETS["codex"]).probe()

    assert (health.tested, health.range) == (tested, ">=0.169,<0.170")


def test_probing_tells_that_nobody_is_logged_in_and_what_to_type(install: Install) -> None:
    install("codex")

    health = PresetAgent("codex", PRESETS["codex"]).probe()

    assert (health.health, health.login) == (Health.READY, Login.NONE)
    assert health.detail == "not logged in: codex login"


def test_probing_tells_what_is_missing_or_broken(install: Install) -> None:
    missing = PresetAgent("codex", PRESETS["codex"]).probe()
    install("codex", version_status=3)
    broken = PresetAgent("codex", PRESETS["codex"]).probe()
    install("codex", text="no program at all\n")
    unusable = PresetAgent("codex", PRESETS["codex"]).probe()

    assert missing.health is Health.MISSING
    assert broken.health is Health.BROKEN
    assert "status 3" in broken.detail
    assert unusable.health is Health.BROKEN


def test_probing_survives_a_program_that_floods_or_hangs(install: Install) -> None:
    from orchestrator.agents.programs import ask_version

    flood = install("codex", text=f"#!{sys.executable}\nprint('v' * 5_000_000)\n")
    hang = install("gemini", text=f"#!{sys.executable}\nimport time; time.sleep(600)\n")

    flooded = ask_version(str(flood), {})
    hung = ask_version(str(hang), {}, timeout_s=0.3)

    assert len(flooded.version) == 200
    assert hung.health is Health.BROKEN


@pytest.mark.skipif(os.geteuid() != 0, reason="the rule concerns root alone")
def test_claude_as_root_is_ready_only_where_the_user_says_it_is_a_sandbox(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("claude")

    refused = PresetAgent("claude", PRESETS["claude"]).probe()
    configured = PresetAgent("claude", PRESETS["claude"], variables={"IS_SANDBOX": "1"}).probe()
    monkeypatch.setenv("IS_SANDBOX", "1")
    passed = PresetAgent("claude", PRESETS["claude"]).probe()

    assert (refused.health, configured.health, passed.health) == (Health.BROKEN, Health.READY, Health.READY)
    assert "IS_SANDBOX" in refused.detail
