"""Web mode as people meet it; the environment is always one that the test names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.model.ids import RunId
from orchestrator.model.run import RunProgress, RunStatus
from orchestrator.paths import OrchestratorPaths
from orchestrator.state.manager import StateManager
from tests.cli.conftest import ENTRY, Answer, Call
from tests.cli.test_help import HEAVY
from tests.command import called
from tests.conftest import GitCall

CODESPACE = {
    "CODESPACES": "true",
    "CODESPACE_NAME": "cool-x1",
    "GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN": "app.github.dev",
}
OTHER = {**CODESPACE, "CODESPACE_NAME": "other-y2"}
WRITES = f"{sys.executable} -c \"open('new.txt','w').write('1')\""
FAILS = "false"


class Machine:
    """Calls the command with the variables of one machine and none of the caller's."""

    def __init__(self, home: Path, **variables: str) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        git = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": str(home / ".gitconfig")}
        self.environment = {**kept, **git, "HOME": str(home), "LC_ALL": "C.UTF-8", **variables}

    def __call__(self, *arguments: str, cwd: Path) -> Answer:
        done = called(cwd, *arguments, environment=self.environment)
        return Answer(done.returncode, done.stdout, done.stderr)

    def apart(self, *arguments: str, cwd: Path) -> Answer:
        """Calls the command as a process of its own, as its users start it."""
        done = subprocess.run(
            [sys.executable, "-c", ENTRY, *arguments],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.environment,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def modules(self, *arguments: str, cwd: Path) -> set[str]:
        """Returns what a command line has imported when it ends."""
        code = (
            "import sys; from orchestrator.cli.front import main; main(sys.argv[1:]);"
            "sys.stderr.write(chr(10).join(sys.modules))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=cwd,
            capture_output=True,
            text=True,
            env=self.environment,
            check=True,
        )
        return set(done.stderr.splitlines())


@pytest.fixture
def codespace(home: Path) -> Machine:
    return Machine(home, **CODESPACE)


@pytest.fixture
def other(home: Path) -> Machine:
    return Machine(home, **OTHER)


@pytest.fixture
def laptop(home: Path) -> Machine:
    return Machine(home)


def sessions(place: Path) -> list[str]:
    found = place / ".orchestrator/sessions"
    return sorted(entry.name for entry in found.iterdir()) if found.is_dir() else []


def run(machine: Machine, place: Path, run_id: str, command: str = WRITES) -> Answer:
    return machine("run", f"work of {run_id}", "--command", command, "--run-id", run_id, cwd=place)


def test_a_run_in_a_codespace_keeps_everything_in_its_session(project: Path, codespace: Machine) -> None:
    answer = run(codespace, project, "r1")

    assert answer.status == 0, answer.err
    (session,) = sessions(project)
    assert session.startswith("codespace-")
    assert "machine   GitHub Codespaces (CODESPACES), web_mode: auto: each session keeps" in answer.err
    assert f"session   {session}" in answer.err
    place = project / ".orchestrator"
    assert not (place / "state.db").exists()
    assert [p.name for p in (place / "artifacts").iterdir()] == []
    assert (place / "sessions" / session / "state.db").is_file()
    assert (place / "sessions" / session / "artifacts/r1").is_dir()


def test_commits_name_their_session_unless_it_is_turned_off(
    project: Path, codespace: Machine, git: GitCall
) -> None:
    run(codespace, project, "r1")
    (project / ".orchestrator/workflow.local.yaml").write_text("web: {trailers: false}\n")
    codespace("trust", "--yes", cwd=project)
    run(codespace, project, "r2")

    (session,) = sessions(project)
    assert f"Orchestrator-Session: {session}" in git(project, "log", "-1", "--format=%B", "orchestrator/r1")
    assert "Orchestrator-Session" not in git(project, "log", "-1", "--format=%B", "orchestrator/r2")


def test_status_says_where_it_is_without_anything_dear(project: Path, codespace: Machine) -> None:
    run(codespace, project, "r1")
    (session,) = sessions(project)

    answer, said = codespace("status", cwd=project), codespace("status", "--json", cwd=project).json

    assert answer.err.startswith("GitHub Codespaces (CODESPACES), web_mode: auto: each session keeps a state")
    assert f"session {session}" in answer.err
    assert "r1" in answer.out
    assert (said["session"], said["environment"], said["web_mode"]) == (session, "codespace", True)
    assert not codespace.modules("status", cwd=project) & set(HEAVY)


def test_on_a_machine_that_lasts_nothing_is_said_and_nothing_changes(project: Path, laptop: Machine) -> None:
    answer = run(laptop, project, "r1")

    assert "machine " not in answer.err
    assert sessions(project) == []
    status = laptop("status", "--json", cwd=project).json
    assert (status["session"], status["environment"], status["web_mode"]) == (None, "machine", False)


@pytest.mark.parametrize(
    "text", ["web_mode: false\n", "web: {sessions: false}\n", "# no web here\n'web' : {sessions: false}\n"]
)
def test_the_switch_is_heeded_by_every_command(project: Path, codespace: Machine, text: str) -> None:
    (project / ".orchestrator/workflow.local.yaml").write_text(text)
    codespace("trust", "--yes", cwd=project)

    assert run(codespace, project, "r1").status == 0

    assert sessions(project) == []
    assert "r1" in codespace("status", cwd=project).out


def test_a_laptop_can_have_sessions_too(project: Path, home: Path) -> None:
    machine = Machine(home, ORCHESTRATOR_WEB_MODE="true")

    assert run(machine, project, "r1").status == 0

    (session,) = sessions(project)
    assert session.startswith("local-")
    assert machine("status", "--json", cwd=project).json["session"] == session


def test_a_run_is_found_from_any_session_and_none(
    project: Path, codespace: Machine, other: Machine, laptop: Machine
) -> None:
    assert run(codespace, project, "r1").status == 0
    assert run(other, project, "r2").status == 0
    assert run(laptop, project, "r3").status == 0

    assert len(sessions(project)) == 2
    for machine in (codespace, other, laptop):
        for run_id in ("r1", "r2", "r3"):
            assert "new.txt" in machine("diff", run_id, cwd=project).out
            assert machine("status", run_id, cwd=project).status == 0
    everything = laptop("status", "--all-sessions", "--json", cwd=project).json["runs"]
    assert {each["id"]: each["session"] is None for each in everything} == {
        "r1": False,
        "r2": False,
        "r3": True,
    }
    shown = codespace("status", "--all-sessions", cwd=project).out
    assert all(f"{run_id} " in shown for run_id in ("r1", "r2", "r3"))


def test_a_run_id_that_another_session_has_is_taken(
    project: Path, codespace: Machine, other: Machine
) -> None:
    assert run(codespace, project, "r1").status == 0

    answer = run(other, project, "r1")

    assert answer.status == 2
    assert "error[run-id-taken]" in answer.err


def test_after_a_restart_resume_takes_the_old_session_over(
    project: Path, codespace: Machine, other: Machine
) -> None:
    assert run(codespace, project, "r1", FAILS).status == 3
    (session,) = sessions(project)

    answer = other("resume", cwd=project)

    assert "resume r1: it failed" in answer.err
    assert sessions(project) == [session]
    assert other("status", "--json", cwd=project).json["session"] == session


def test_several_resumable_runs_of_several_sessions_are_listed(
    project: Path, codespace: Machine, other: Machine
) -> None:
    run(codespace, project, "r1", FAILS)
    run(other, project, "r2", FAILS)

    answer = codespace("resume", cwd=project)

    assert answer.status == 2
    assert "r1" in answer.err
    assert "r2" in answer.err
    assert "error[run-ambiguous]: 2 runs can go on" in answer.err


def test_looking_from_another_machine_changes_nothing(
    project: Path, codespace: Machine, other: Machine
) -> None:
    run(codespace, project, "r1")
    (session,) = sessions(project)
    before = (project / ".orchestrator/sessions" / session / "identity.json").read_bytes()

    for words in (["status"], ["diff", "r1"], ["report", "r1"], ["doctor", "--quick"], ["sessions", "list"]):
        other(*words, cwd=project)

    assert sessions(project) == [session]
    assert (project / ".orchestrator/sessions" / session / "identity.json").read_bytes() == before


def test_a_copied_repository_has_sessions_of_its_own(
    project: Path, codespace: Machine, tmp_path: Path, git: GitCall
) -> None:
    run(codespace, project, "r1", FAILS)
    (original,) = sessions(project)
    copy = tmp_path / "copy"
    shutil.copytree(project, copy, symlinks=True)

    assert run(codespace, copy, "r2").status == 0
    assert codespace("resume", "r1", cwd=copy).status == 3

    assert sessions(project) == [original]
    assert original not in sessions(copy)
    assert len(sessions(copy)) == 2
    assert codespace("status", "--json", cwd=project).json["session"] == original
    assert "r2" not in codespace("status", cwd=project).out


def test_two_sessions_work_at_once(project: Path, codespace: Machine, other: Machine) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ENTRY, "run", "x", "--command", WRITES, "--run-id", run_id],
            cwd=project,
            env=machine.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for machine, run_id in ((codespace, "r1"), (other, "r2"), (codespace, "r3"))
    ]

    assert [process.wait(120) for process in processes] == [0, 0, 0]
    assert len(sessions(project)) == 2
    assert codespace("merge", "r2", cwd=project).status == 0
    assert codespace("merge", "r1", cwd=project).status in (0, 3)


def test_sessions_are_listed_shown_and_renamed(project: Path, codespace: Machine, laptop: Machine) -> None:
    assert "There are no sessions here" in laptop("sessions", "list", cwd=project).err
    run(codespace, project, "r1")
    (session,) = sessions(project)

    assert codespace("sessions", "rename", session[:14], "mine", cwd=project).out == (
        f"session {session} is called mine\n"
    )
    listed = codespace("sessions", "list", cwd=project).out
    shown = codespace("sessions", "show", "mine", cwd=project).out

    assert session in listed
    assert "mine" in listed
    assert "codespace" in listed
    assert "here" in listed
    assert "https://cool-x1-{port}.app.github.dev" in shown
    facts = laptop("sessions", "show", "mine", "--json", cwd=project).json
    assert (facts["id"], facts["here"], facts["state"], facts["runs"]) == (
        session,
        False,
        "at work elsewhere",
        1,
    )
    assert laptop("sessions", "show", "nothing", cwd=project).status == 2


def test_doctor_says_what_was_detected(project: Path, codespace: Machine, laptop: Machine) -> None:
    run(codespace, project, "r1")

    said = codespace("doctor", "--only", "environment-machine", "--json", cwd=project).json["checks"][0]

    assert said["summary"].startswith("GitHub Codespaces (CODESPACES), web_mode: auto: each session")
    assert "ports are reached at https://cool-x1-{port}.app.github.dev" in said["evidence"]
    assert f"the session in use is {sessions(project)[0]}" in said["evidence"]
    for machine in (codespace, laptop):
        checks = machine("doctor", "--json", cwd=project).json["checks"]
        assert [check["id"] for check in checks if check["status"] == "fail"] == []


def test_deinit_takes_every_session_out(
    project: Path, codespace: Machine, other: Machine, git: GitCall
) -> None:
    run(codespace, project, "r1")
    run(other, project, "r2", FAILS)
    bundle = project.parent / "all.bundle"

    answer = codespace("deinit", "--export", str(bundle), cwd=project)

    assert answer.status == 0, answer.err
    assert not (project / ".orchestrator").exists()
    assert "orchestrator" not in git(project, "for-each-ref")
    assert "refs/orchestrator/runs/r2" in git(project, "bundle", "list-heads", str(bundle))


def test_what_needs_a_person_is_found_in_every_session(
    project: Path, codespace: Machine, other: Machine, git: GitCall
) -> None:
    git(project, "checkout", "-q", "--detach")
    codespace("run", "x", "--command", WRITES, "--run-id", "r1", "--integrate", "merge", cwd=project)

    found = other("interventions", "--json", cwd=project).json["interventions"]

    assert [each["run_id"] for each in found] == ["r1"]
    assert other("resolve", found[0]["id"], cwd=project).status == 0


def test_a_waiting_run_of_an_earlier_machine_is_resumed_when_its_time_has_come(
    project: Path, codespace: Machine, other: Machine
) -> None:
    run(codespace, project, "r1", FAILS)
    run(other, project, "r2")
    place = next(name for name in sessions(project) if holds(project, name, "r1"))
    with StateManager.open(OrchestratorPaths(project, True, place)) as state:
        state.update_run_status(RunId("r1"), RunStatus.EXECUTING)
        over = RunProgress(waiting_for="x", wake_at=datetime.now(UTC) - timedelta(hours=1))
        state.update_run_status(RunId("r1"), RunStatus.WAITING, progress=over)

    answer = other("resume", "--due", "--trust", cwd=project)

    assert answer.status == 3, answer.err
    assert "resume r1: it waits for x" in answer.err
    assert "No run is due." in other("resume", "--due", cwd=project).out


def test_a_session_in_which_a_run_is_alive_stays_its_owners(
    project: Path, codespace: Machine, other: Machine
) -> None:
    slow = f"{sys.executable} -c \"import time; open('a.txt','w').write('1'); time.sleep(60)\""
    owner = subprocess.Popen(
        [sys.executable, "-c", ENTRY, "run", "x", "--command", slow, "--run-id", "r1"],
        cwd=project,
        env=codespace.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not list(project.glob(".orchestrator/sessions/*/worktrees/r1/main/a.txt")):
        assert owner.poll() is None
        time.sleep(0.05)
    (session,) = sessions(project)
    before = (project / ".orchestrator/sessions" / session / "identity.json").read_bytes()

    answer = other("cancel", "r1", cwd=project)

    assert answer.status == 0, answer.err
    assert owner.wait(60) == 3
    assert (project / ".orchestrator/sessions" / session / "identity.json").read_bytes() == before
    assert sessions(project) == [session]


def holds(place: Path, session: str, run_id: str) -> bool:
    return (place / ".orchestrator/sessions" / session / "artifacts" / run_id).is_dir()


def entries(place: Path, *skipped: str) -> dict[str, object]:
    """Returns everything below a directory with its content, except what is below one of `skipped`."""
    found: dict[str, object] = {}
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place).as_posix()
        if any(name == one or name.startswith(one + "/") for one in skipped):
            continue
        found[name] = (
            os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        )
    return found


def test_nothing_is_written_outside_of_the_session_and_the_shared_parts(
    project: Path, codespace: Machine, home: Path
) -> None:
    codespace("trust", "--yes", cwd=project)
    in_git = [".git/objects", ".git/refs/orchestrator", ".git/refs/heads/orchestrator"]
    in_git.append(".git/logs/refs/heads/orchestrator")
    shared = [".orchestrator/sessions", ".orchestrator/locks", ".orchestrator/place.json"]
    before, home_before = entries(project, *in_git, *shared), entries(home)

    assert run(codespace, project, "r1").status == 0
    assert run(codespace, project, "r2", FAILS).status == 3
    codespace("resume", "r2", cwd=project)
    for words in (["status"], ["log", "r1"], ["cancel", "r2"], ["discard", "r2"], ["doctor"], ["undo", "-y"]):
        codespace(*words, cwd=project)

    assert entries(project, *in_git, *shared) == before
    assert entries(home) == home_before
    (session,) = sessions(project)
    mode = (project / ".orchestrator/sessions" / session).stat().st_mode
    assert mode & 0o077 == 0
    locks = sorted(os.listdir(project / ".orchestrator/locks"))
    assert {name.split(".")[0] for name in locks} <= {"sessions", "repository", "prune"}


def test_a_call_in_this_process_and_one_of_its_own_agree(
    project: Path, call: Call, codespace: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(codespace, project, "r1")
    for name, value in CODESPACE.items():
        monkeypatch.setenv(name, value)

    ours, theirs = call("status", "--json", cwd=project), codespace.apart("status", "--json", cwd=project)

    assert json.loads(ours.out) == json.loads(theirs.out)
