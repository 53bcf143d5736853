"""Secrets from every kind of place reach the agents that list them, and nothing else that is ours."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from pathlib import Path

import pytest

from orchestrator.redaction.forms import forms_of
from tests.cli.conftest import Answer, here, process
from tests.conftest import GitCall
from tests.redaction.test_nothing_leaks import content_of, files_below

OURS = os.urandom(4).hex()  # every process is looked at, those of a test that runs beside included
SECRETS = {
    "REPOSITORY_KEY": f"c4n4ry0fTheRepositoryStore{OURS}",
    "GLOBAL_KEY": f"pa$$\"w/o+r\\d&<é>=%'x y~z{OURS}",
    "SHELL_KEY": f"c4n4ry-of-the-callers-shell-{OURS}",
    "STEP_KEY": f"first-line-for-the-step-{OURS}\nsecond-line-for-the-step-{OURS}",
}
UNLISTED = f"un1isted-key-of-the-shell-{OURS}"
SHELL = {"ORCHESTRATOR_SECRET_SHELL_KEY": SECRETS["SHELL_KEY"], "UNLISTED_KEY": UNLISTED}

AGENT = r"""
import os, re, subprocess, sys
from pathlib import Path
from orchestrator.redaction.forms import forms_of

outside = Path(sys.argv[1])
secrets = {name: os.environ.get(name) for name in sys.argv[2:]}
calls = outside / "calls"
calls.write_text((calls.read_text() if calls.exists() else "") + repr(sorted(os.environ)) + "\n")

mine = str(os.getpid())
for entry in Path("/proc").glob("[0-9]*"):
    if entry.name == mine:
        continue
    for kind in ("cmdline", "environ"):
        try:
            (outside / f"{kind}.{mine}.{entry.name}").write_bytes((entry / kind).read_bytes())
        except OSError:
            pass
(outside / f"supervisor.{mine}").write_text(str(os.getppid()))

forms = sorted({form for value in secrets.values() for form in forms_of(value)})
for stream in (sys.stdout.buffer, sys.stderr.buffer):
    for form in forms:
        for size in (len(form), 7, 1):
            for at in range(0, len(form), size):
                stream.write(form[at : at + size])
                stream.flush()
            stream.write(b"\n")
            stream.flush()

git = ["git", "-c", "user.name=An Agent", "-c", "user.email=agent@example.invalid"]
Path("leak.bin").write_bytes(b"\n".join(forms))
named = [form for form in forms if b"/" not in form and len(form) < 200]
for form in named:
    Path(os.fsdecode(form + b".txt")).write_text("in the name")
subprocess.run([*git, "add", "-A"], check=True)
for number, form in enumerate(forms):
    if number % 8 == 0:
        message = b"commit with " + form
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-F", "-"], input=message, check=True)
for form in named:
    if re.fullmatch(rb"[A-Za-z0-9_-]+", form):
        subprocess.run([*git, "branch", "-f", b"branch-" + form], check=True)
        subprocess.run([*git, "tag", "-f", "-a", "-m", form, b"tag-" + form], check=True, stdout=-3)
sys.exit("failed with " + " ".join(secrets.values()))
"""

LOOKS = (
    ["status"],
    ["status", "a"],
    ["log", "a"],
    ["findings", "a"],
    ["report", "a"],
    ["interventions"],
    ["checkpoints", "a"],
    ["diff", "a"],
    ["ops"],
    ["config", "show"],
    ["secrets", "list"],
    ["secrets", "which", "SHELL_KEY"],
    ["secrets", "which", "GLOBAL_KEY"],
    ["doctor"],
)


def names_in(data: bytes) -> set[str]:
    values = {**SECRETS, "UNLISTED_KEY": SHELL["UNLISTED_KEY"]}
    return {name for name, value in values.items() if any(form in data for form in forms_of(value))}


@pytest.fixture
def stored(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a repository whose agent leaks what either store, the shell and its step give it."""
    for name in ("outside", "tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "outside" / "agent.py").write_text(AGENT)
    assert here("init", "--trust", cwd=repository).status == 0
    for name, place in (("REPOSITORY_KEY", ()), ("STEP_KEY", ()), ("GLOBAL_KEY", ("--global",))):
        done = here("secrets", "set", name, *place, cwd=repository, stdin=f"{SECRETS[name]}\n")
        assert done.status == 0
        assert names_in((done.out + done.err).encode()) == set()
    command = json.dumps([sys.executable, str(tmp_path / "outside" / "agent.py"), str(tmp_path / "outside")])
    command = f"{command[:-1]}, {', '.join(SECRETS)}]"
    (repository / ".orchestrator" / "workflow.yaml").write_text(
        textwrap.dedent(f"""\
            version: 1
            agents:
              leaky: {{kind: command, command: {command}, secrets: [REPOSITORY_KEY, GLOBAL_KEY, SHELL_KEY]}}
            workflows: {{default: [{{agent: leaky, task: implement, secrets: [STEP_KEY]}}]}}
            execution: {{retry_backoff_s: 0, max_retries: 1}}
            logging: {{level: debug}}
            verify: {{custom: [{{run: ["sh", "-c", "env >> {tmp_path}/outside/check"]}}]}}
            """)
    )
    return repository


def answers(project: Path) -> list[Answer]:
    run = ("run", "use the keys", "--trust")
    found = [
        process(*run, "--run-id", "a", "-v", cwd=project, **SHELL),
        process(*run, "--run-id", "b", "--json", cwd=project, **SHELL),
        process("resume", "a", "--trust", "--debug", cwd=project, **SHELL),
    ]
    return found + [
        here(*words, *flag, cwd=project, **SHELL)
        for words in LOOKS
        for flag in ((), ("--json",), ("--debug",))
    ]


def test_what_the_stores_and_the_shell_hold_is_left_nowhere_but_in_the_agents_own_files(
    stored: Path, home: Path, tmp_path: Path, git: GitCall
) -> None:
    shown = answers(stored)

    ours, outside = stored / ".orchestrator", tmp_path / "outside"
    trees = tuple(tree for run in (ours / "worktrees").glob("*") for tree in run.glob("[!.]*"))
    calls = (outside / "calls").read_text().splitlines()
    assert len(calls) >= 3
    assert all(f"'{name}'" in call for call in calls for name in SECRETS)
    assert not any("UNLISTED_KEY" in call or "ORCHESTRATOR_SECRET_" in call for call in calls)
    check = (outside / "check").read_bytes()
    assert b"PATH=" in check
    assert names_in(check) == set()
    assert "[redacted:" in shown[0].err
    assert [a for a in shown if names_in((a.out + a.err).encode())] == []
    for place, but in ((ours, trees), (home, ()), (tmp_path / "tmp", ())):
        assert [path for path in files_below(place, but=but) if names_in(content_of(path))] == []
    assert all(path.read_bytes().startswith(b"-----BEGIN AGE") for path in ours.glob("secrets/*/*.age"))
    assert names_in(git(stored, "for-each-ref", "--format=%(refname)").encode()) == set()
    for ref in ("refs/orchestrator/runs/a", "refs/orchestrator/runs/b"):
        for commit in git(stored, "rev-list", "--first-parent", ref, "--author=orchestrator").split():
            assert names_in(git(stored, "cat-file", "commit", commit).encode()) == set()
            assert names_in(git(stored, "cat-file", "blob", f"{commit}:run.json").encode()) == set()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_process_but_the_agent_shows_a_secret_in_its_arguments_or_environment(
    stored: Path, tmp_path: Path
) -> None:
    done = process("run", "use the keys", "--run-id", "a", "--trust", cwd=stored, **SHELL)

    outside = tmp_path / "outside"
    assert done.status == 1
    assert [path for path in outside.glob("cmdline.*") if names_in(path.read_bytes())] == []
    for file in outside.glob("supervisor.*"):
        agent = file.suffix[1:]
        assert names_in((outside / f"environ.{agent}.{file.read_text()}").read_bytes()) == set()
    for path in outside.glob("environ.*"):
        content = path.read_bytes()
        if b"ORCHESTRATOR_SECRET_SHELL_KEY=" in content:  # what the caller put there, and nothing more
            assert names_in(content) == {"SHELL_KEY", "UNLISTED_KEY"}
        else:
            assert names_in(content) == set(), path


def test_a_stored_secret_in_the_agents_files_is_a_major_finding_and_keeps_the_checkpoint_local(
    stored: Path, git: GitCall
) -> None:
    assert here("run", "use the keys", "--run-id", "b", "--trust", cwd=stored, **SHELL).status == 1

    findings = here("findings", "b", "--json", cwd=stored).json["findings"]
    told = [each for each in findings if each["category"] == "security"]
    assert {each["severity"] for each in told} == {"major"}
    for name in SECRETS:
        assert any(f"leak.bin holds the secret {name}" in each["message"] for each in told)
    newest = git(stored, "rev-parse", "refs/orchestrator/runs/b")
    assert "Orchestrator-Local: true" in git(stored, "log", "-1", "--format=%B", newest)
    assert json.loads(git(stored, "cat-file", "blob", f"{newest}:run.json"))["local_only"] is True
