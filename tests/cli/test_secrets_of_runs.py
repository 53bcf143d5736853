"""Secrets on the way to a run: missing ones, prompts, presets and their keys."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Call, here
from tests.cli.test_on_a_terminal import on_terminal
from tests.conftest import GitCall

NAME = "SERVICE_API_KEY"
VALUE = "canary-4711-value"
SHIFTED = "dbobsz-4711-wbmvf"
"""What the agent writes of it: a file that holds a secret as it is would stop the run."""
AGENT = f"""
agents:
  caller: {{kind: command, command: ["sh", "-c", "printenv {NAME} | tr a-y b-z > given"], secrets: [{NAME}]}}
workflows: {{default: [{{agent: caller}}]}}
"""


@pytest.fixture
def calling(repository: Path, call: Call) -> Path:
    """Returns a trusted repository whose agent names one secret."""
    (repository / ".orchestrator").mkdir()
    (repository / ".orchestrator" / "workflow.yaml").write_text(f"version: 1\n{AGENT}")
    assert call("init", "--trust", cwd=repository).status == 0
    return repository


def tree_of(place: Path) -> dict[str, bytes]:
    kept = ("locks", "logs", "state.db", "place.json")
    paths = [path for path in place.rglob("*") if path.is_file() and not path.name.startswith("state.db")]
    return {
        str(path): path.read_bytes()
        for path in paths
        if not any(f"/.orchestrator/{name}" in str(path) for name in kept)
    }


def test_a_missing_secret_stops_a_run_with_status_4_before_anything_happens(
    calling: Path, call: Call, git: GitCall
) -> None:
    before = tree_of(calling)

    answer = call("run", "x", "--run-id", "a", cwd=calling)
    as_json = call("run", "x", "--run-id", "a", "--json", cwd=calling)

    assert answer.status == as_json.status == 4
    assert answer.out == ""
    assert f"error[secret-missing]: There is no value for {NAME}." in answer.err
    for place in (
        "`env` of the step's agent",
        f"ORCHESTRATOR_SECRET_{NAME}",
        "repository store",
        "global store",
    ):
        assert place in answer.err
    assert as_json.lines[-1]["error"]["code"] == "secret-missing"
    assert NAME in as_json.lines[-1]["error"]["problems"][0]
    assert tree_of(calling) == before
    assert git(calling, "for-each-ref", "refs/orchestrator", "refs/heads/orchestrator") == ""
    assert call("status", "--json", cwd=calling).json["runs"] == []


def test_the_placeholder_in_the_environment_is_not_a_key(calling: Path) -> None:
    answer = here("run", "x", "--run-id", "a", cwd=calling, **{NAME: "proxy-injected"})

    assert answer.status == 4
    assert f"variable {NAME} (holds the placeholder proxy-injected)" in answer.err


def test_a_plan_names_the_secrets_and_looks_none_up(calling: Path, call: Call) -> None:
    text = call("run", "x", "--dry-run", cwd=calling)
    steps = call("run", "x", "--dry-run", "--json", cwd=calling).json["steps"]

    assert text.status == 0
    assert f"secrets   caller gets {NAME}" in text.out
    assert steps == [{"agent": "caller", "task": "implement", "secrets": [NAME]}]


def test_a_stored_secret_reaches_the_agent(calling: Path, git: GitCall) -> None:
    here("secrets", "set", NAME, cwd=calling, stdin=VALUE)

    answer = here("run", "x", "--run-id", "a", cwd=calling)

    assert answer.status == 0, answer.err
    assert git(calling, "show", "orchestrator/a:given") == SHIFTED
    assert VALUE not in answer.out + answer.err


def test_a_run_that_goes_on_needs_its_secrets_again(calling: Path, call: Call) -> None:
    here("secrets", "set", NAME, cwd=calling, stdin="first")
    failing = AGENT.replace("printenv", "false; exit 1; printenv") + "execution: {max_retries: 0}\n"
    (calling / ".orchestrator" / "workflow.yaml").write_text(f"version: 1\n{failing}")
    assert call("trust", "--yes", cwd=calling).status == 0
    assert call("run", "x", "--run-id", "a", cwd=calling).status == 3
    call("secrets", "remove", NAME, "--yes", cwd=calling)

    answer = call("resume", "a", cwd=calling)

    assert answer.status == 4
    assert "error[secret-missing]" in answer.err
    assert call("status", "a", "--json", cwd=calling).json["runs"][0]["status"] == "failed"


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo terminals")
def test_what_is_typed_at_a_prompt_is_not_shown(calling: Path, git: GitCall) -> None:
    stored = on_terminal("secrets", "set", NAME, cwd=calling, answers=f"{VALUE}\n", question="(not shown)")
    shown = here("secrets", "show", NAME, "--reveal", cwd=calling)
    here("secrets", "remove", NAME, "--yes", cwd=calling)
    ran = on_terminal("run", "x", "--run-id", "a", cwd=calling, answers=f"{VALUE}\n", question="(not shown)")

    assert stored.status == 0, stored.out
    assert f"{NAME} (not shown): " in stored.out
    assert shown.out == VALUE
    assert ran.status == 0, ran.out
    assert ran.out.count("(not shown)") == 1
    assert git(calling, "show", "orchestrator/a:given") == SHIFTED
    assert VALUE not in stored.out.replace("\r", "") + ran.out


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo terminals")
def test_a_pager_gets_no_key(calling: Path) -> None:
    variables = {"ORCHESTRATOR_PAGER": "sh -c env", "LESSCHARSET": "utf-8"}
    keys = {"ORCHESTRATOR_AGE_KEY": "AGE-canary", NAME: VALUE}
    here("run", "x", "--run-id", "a", cwd=calling, **{NAME: VALUE})

    shown = on_terminal("log", "a", cwd=calling, variables={**variables, **keys})

    assert "LESSCHARSET=utf-8" in shown.out
    assert "canary" not in shown.out


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo terminals")
def test_nothing_typed_is_nothing_stored(calling: Path, call: Call) -> None:
    answer = on_terminal("secrets", "set", NAME, cwd=calling, answers="\x04", question="(not shown)")

    assert (answer.status, "error[secret-empty]" in answer.out) == (2, True)
    assert call("secrets", "list", "--json", cwd=calling).json["secrets"] == []


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo terminals")
def test_nobody_is_asked_with_no_input(calling: Path) -> None:
    answer = on_terminal("secrets", "set", NAME, "--no-input", cwd=calling)

    assert (answer.status, "error[answer-needed]" in answer.out) == (2, True)


def test_values_are_not_shown_inside_an_agents_session(calling: Path) -> None:
    here("secrets", "set", NAME, cwd=calling, stdin=VALUE)

    answer = here("secrets", "show", NAME, "--reveal", cwd=calling, ORCHESTRATOR_EXECUTION="some/one")

    assert (answer.status, "error[nested-session]" in answer.err) == (2, True)
    assert VALUE not in answer.out + answer.err


def test_a_preset_keeps_its_own_keys_and_its_home_and_gets_no_others(
    repository: Path, call: Call, git: GitCall, tmp_path: Path
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    program = programs / "codex"
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        "if '--version' in sys.argv: print('codex 1.0'); sys.exit()\n"
        "json.dump({name: value[::-1] for name, value in os.environ.items()}, open('given.json', 'w'))\n"
        """print('{"type":"turn.completed","usage":{"input_tokens":1,"output_tokens":1}}')\n"""
    )
    program.chmod(0o755)
    assert call("init", "--trust", cwd=repository).status == 0
    keys = {
        "OPENAI_API_KEY": "sk-its-own",
        "ANTHROPIC_API_KEY": "sk-of-another",
        "AWS_SECRET_ACCESS_KEY": "no",
    }
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    state = {"CODEX_HOME": "/where/it/is/signed/in"}

    answer = here("run", "x", "--agent", "codex", "--run-id", "a", cwd=repository, PATH=path, **keys, **state)

    assert answer.status == 0, answer.err
    backwards = json.loads(git(repository, "show", "orchestrator/a:given.json"))
    given = {name: value[::-1] for name, value in backwards.items()}
    assert given["OPENAI_API_KEY"] == "sk-its-own"
    assert given["CODEX_HOME"] == "/where/it/is/signed/in"
    assert given["HOME"] == os.environ["HOME"]
    assert not set(given) & {"ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY"}


@pytest.mark.parametrize("repo_id", ["../../../outside", "/tmp/x", "global", ""])
def test_a_layout_that_names_a_place_of_its_own_is_refused(project: Path, call: Call, repo_id: str) -> None:
    layout = project / ".orchestrator" / "layout.json"
    layout.write_text(json.dumps({"tool": "orchestrator", "layout_version": 1, "repo_id": repo_id}))

    for words in (["set", NAME], ["list"], ["which", NAME]):
        answer = call("secrets", *words, cwd=project)
        assert (answer.status, "error[repo-id-invalid]" in answer.err) == (2, True), words


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_a_link_in_place_of_the_secrets_is_not_followed(project: Path, call: Call, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (project / ".orchestrator" / "secrets").symlink_to(elsewhere)

    answer = here("secrets", "set", NAME, cwd=project, stdin=VALUE)

    assert answer.status == 2
    assert list(elsewhere.iterdir()) == []
    assert call("secrets", "list", cwd=project).status == 2


def test_a_long_value_is_stored_and_refused_only_where_no_variable_can_carry_it(calling: Path) -> None:
    long = "x" * 1_000_000
    assert here("secrets", "set", NAME, cwd=calling, stdin=long).status == 0

    answer = here("run", "x", "--run-id", "a", cwd=calling)

    assert here("secrets", "show", NAME, "--reveal", cwd=calling).out == long
    assert (answer.status, "error[secret-too-long]" in answer.err) == (2, True)


def test_revealing_a_key_of_a_known_shape_shows_it(calling: Path) -> None:
    key = "ghp_" + "a1B2" * 9
    here("secrets", "set", NAME, cwd=calling, stdin=key)

    assert here("secrets", "show", NAME, "--reveal", cwd=calling).out == key
    assert here("secrets", "show", NAME, "--reveal", "--json", cwd=calling).json["value"] == key


def test_diff_shows_a_mark_in_place_of_a_stored_secret(calling: Path) -> None:
    here("secrets", "set", NAME, cwd=calling, stdin=VALUE)
    (calling / ".orchestrator" / "workflow.yaml").write_text(
        f"version: 1\n{AGENT.replace('| tr a-y b-z', '')}execution: {{max_retries: 0}}\n"
    )
    assert here("trust", "--yes", cwd=calling).status == 0
    assert here("run", "x", "--run-id", "a", cwd=calling).status == 1

    shown = here("diff", "a", cwd=calling)

    assert f"+[redacted:{NAME}]" in shown.out
    assert VALUE not in shown.out
