"""`doctor --quick`: the front door and the full command say the same of every repository."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from orchestrator.cli import app, quick_doctor
from orchestrator.cli.flags import Flags
from orchestrator.doctor.diagnosis import Diagnosis, QuickCheck, ok
from orchestrator.doctor.examine import chosen
from orchestrator.doctor.isolation import LookCloser, answered
from orchestrator.doctor.quick.catalogue import QUICK
from orchestrator.doctor.surface import Surface
from orchestrator.fs.lock import FileLock
from orchestrator.migrate.record import OPEN, STATES
from orchestrator.migrate.standing import BEGINNINGS, ENDS, all_ended
from orchestrator.paths import OrchestratorPaths
from orchestrator.state.vitals import count_runs
from tests.conftest import GitCall
from tests.doctor.conftest import Printed, front, snapshot
from tests.migrate.building import put_json

Arrange = Callable[[Path, GitCall], None]

_CHANGING = re.compile(r"[\d.,]+ (?:GiB|MiB|more files)")
"""What the disk says of itself changes between two looks."""


def nothing(place: Path, git: GitCall) -> None:
    """Leaves the sample repository as it is."""


def not_a_repository(place: Path, git: GitCall) -> None:
    shutil.rmtree(place / ".git")


def bare(place: Path, git: GitCall) -> None:
    git(place, "config", "core.bare", "true")


def no_commit(place: Path, git: GitCall) -> None:
    shutil.rmtree(place / ".git")
    git(place, "init", "-q")


def detached(place: Path, git: GitCall) -> None:
    git(place, "checkout", "-q", "--detach")


def mid_merge(place: Path, git: GitCall) -> None:
    (place / ".git" / "MERGE_HEAD").write_text(git(place, "rev-parse", "HEAD") + "\n")
    (place / ".git" / "index.lock").write_bytes(b"")


def broken_configuration(place: Path, git: GitCall) -> None:
    (place / ".git" / "config").write_text("[core\n")


def unknown_extension(place: Path, git: GitCall) -> None:
    git(place, "config", "core.repositoryFormatVersion", "1")
    git(place, "config", "extensions.unheardOf", "true")


def hostile(place: Path, git: GitCall) -> None:
    for key in ("core.fsmonitor", "core.hooksPath", "core.pager", "core.alternateRefsCommand"):
        git(place, "config", key, f"touch {place.parent}/pwned; false")


def foreign(place: Path, git: GitCall) -> None:
    (place / ".orchestrator").mkdir()
    (place / ".orchestrator" / "VERSION").write_text("999\n")


def link(place: Path, git: GitCall) -> None:
    (place / ".orchestrator").symlink_to(place.parent)


def clone(place: Path, git: GitCall) -> None:
    (place / ".orchestrator").mkdir()
    (place / ".orchestrator" / "workflow.yaml").write_text("version: 1\n")


def initialised(place: Path, git: GitCall) -> None:
    assert front(place, command="init").status == 0


def incomplete(place: Path, git: GitCall) -> None:
    initialised(place, git)
    (place / ".orchestrator" / "logs").rmdir()


def odd_locks(place: Path, git: GitCall) -> None:
    initialised(place, git)
    (place / ".orchestrator" / "locks" / "run-evil.lock").symlink_to(place / "app.py")


def open_to_others(place: Path, git: GitCall) -> None:
    initialised(place, git)
    (place / ".orchestrator").chmod(0o777)


def with_a_run(place: Path, git: GitCall) -> None:
    initialised(place, git)
    assert front(place, "x", "--command", "true", "--run-id", "run-1", command="run").status == 0


def lost(place: Path, git: GitCall) -> None:
    with_a_run(place, git)
    shutil.rmtree(place / ".orchestrator")


def without_database(place: Path, git: GitCall) -> None:
    with_a_run(place, git)
    for path in (place / ".orchestrator").glob("state.db*"):
        path.unlink()


def with_a_log(place: Path, git: GitCall) -> None:
    """Leaves a write-ahead log beside the database, as a killed run does."""
    with_a_run(place, git)
    state = OrchestratorPaths(place).state_file
    child = os.fork()
    if child == 0:
        connection = sqlite3.connect(state, isolation_level=None)
        connection.execute("UPDATE runs SET task = 'another'")
        os._exit(0)
    os.waitpid(child, 0)
    assert Path(f"{state}-wal").stat().st_size


def cut_off(place: Path, git: GitCall) -> None:
    initialised(place, git)
    OrchestratorPaths(place).state_file.write_bytes(b"")


def damaged(place: Path, git: GitCall) -> None:
    with_a_run(place, git)
    OrchestratorPaths(place).state_file.write_bytes(b"no database at all" * 99)


def newer_database(place: Path, git: GitCall) -> None:
    with_a_run(place, git)
    with closing(sqlite3.connect(OrchestratorPaths(place).state_file)) as connection:
        connection.execute("PRAGMA user_version = 99")


def with_a_journal(place: Path, git: GitCall) -> None:
    with_a_run(place, git)
    Path(f"{OrchestratorPaths(place).state_file}-journal").write_bytes(b"x")


def earlier_state(place: Path, git: GitCall) -> None:
    put_json(place / ".workflow_state.json", {"workflow_id": "wf_1", "phases": {}, "status": "active"})


def migrated(place: Path, git: GitCall) -> None:
    earlier_state(place, git)
    assert front(place, "--yes", command="migrate").status == 0


def half_migrated(place: Path, git: GitCall) -> None:
    migrated(place, git)
    [journal] = (place / ".orchestrator" / "migrations").glob("*/journal.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(line for line in lines if b'"completed"' not in line))


HERE: tuple[Arrange, ...] = (
    nothing,
    not_a_repository,
    bare,
    no_commit,
    detached,
    mid_merge,
    broken_configuration,
    unknown_extension,
    hostile,
    foreign,
    link,
    clone,
    initialised,
    incomplete,
    odd_locks,
    open_to_others,
    with_a_run,
    lost,
    without_database,
    with_a_log,
    migrated,
)
HANDED_OVER: tuple[Arrange, ...] = (
    cut_off,
    damaged,
    newer_database,
    with_a_journal,
    earlier_state,
    half_migrated,
)


def printed(call: Callable[[], int | None]) -> tuple[int | None, str, str]:
    """Returns the exit status and what was printed, without what changes by itself."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = call()
    return status, _CHANGING.sub("#", out.getvalue()), _CHANGING.sub("#", err.getvalue())


def flags(place: Path, *words: str) -> Flags:
    made = Flags()
    made.enter(str(place))
    assert all(made.take(word) for word in words)
    return made


@pytest.mark.parametrize("arrange", HERE, ids=lambda arrange: arrange.__name__)
def test_the_front_door_answers_as_the_full_command_does(
    repository: Path, git: GitCall, arrange: Arrange
) -> None:
    arrange(repository, git)

    for words in ((), ("--json",), ("-v",), ("-q",)):
        here = printed(lambda words=words: quick_doctor.answer(flags(repository, *words)))  # type: ignore[misc]
        full = printed(lambda words=words: app.call(["-C", str(repository), "doctor", "--quick", *words]))  # type: ignore[misc]

        assert here == full
        assert here[0] is not None
    assert not (repository.parent / "pwned").exists()


@pytest.mark.parametrize("arrange", HANDED_OVER, ids=lambda arrange: arrange.__name__)
def test_what_needs_a_closer_look_is_handed_over_before_anything_is_printed(
    repository: Path, git: GitCall, arrange: Arrange
) -> None:
    arrange(repository, git)

    assert printed(lambda: quick_doctor.answer(flags(repository))) == (None, "", "")

    done = front(repository, "--quick", "--json")
    assert len(json.loads(done.out)["checks"]) == len(QUICK)


def test_beside_a_live_run_the_front_door_answers_and_names_it(repository: Path, git: GitCall) -> None:
    with_a_run(repository, git)
    with FileLock(OrchestratorPaths(repository).run_lock("run-1"), what="run", command="orchestrator run"):
        status, out, _ = printed(lambda: quick_doctor.answer(flags(repository, "-v")))

    assert status == 0
    assert f"pid {os.getpid()}" in out


def test_a_linked_worktree_is_answered_for_its_main_one(repository: Path, git: GitCall) -> None:
    with_a_run(repository, git)
    git(repository, "worktree", "add", "-q", "../linked")
    place = repository.parent / "linked"

    here = printed(lambda: quick_doctor.answer(flags(place, "-v")))

    assert f"state is kept in {repository.resolve()}" in here[1]
    assert here == printed(lambda: app.call(["-C", str(place), "doctor", "--quick", "-v"]))


@pytest.mark.parametrize("arrange", [with_a_run, with_a_log, lost], ids=lambda arrange: arrange.__name__)
def test_a_quick_look_changes_nothing(repository: Path, home: Path, git: GitCall, arrange: Arrange) -> None:
    arrange(repository, git)
    before = snapshot(repository, home)

    assert quick_doctor.answer(flags(repository)) is not None

    assert snapshot(repository, home) == before


def test_a_repository_that_nobody_may_write_is_answered(repository: Path, git: GitCall) -> None:
    with_a_run(repository, git)
    places = [repository, repository / ".git", repository / ".orchestrator"]
    for place in places:
        place.chmod(0o555)
    try:
        here = printed(lambda: quick_doctor.answer(flags(repository, "-v")))
        full = printed(lambda: app.call(["-C", str(repository), "doctor", "--quick", "-v"]))
    finally:
        for place in places:
            place.chmod(0o755)

    assert here == full
    assert here[0] in (0, 1)


def test_a_relative_entry_of_path_finds_no_git_of_the_repository(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "git").write_text(f"#!/bin/sh\ntouch {repository.parent}/pwned\n")
    (repository / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f".{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(repository)

    assert front(repository, "--quick").status == 0

    assert not (repository.parent / "pwned").exists()


@pytest.mark.parametrize(
    "words",
    [["--only", "git-version"], ["--fix"], ["--no-such-flag"]],
)
def test_with_anything_else_asked_the_full_command_answers(repository: Path, words: list[str]) -> None:
    done = front(repository, "--quick", *words)

    assert done == _full(repository, "--quick", *words)


def test_quick_belongs_to_doctor_alone(repository: Path) -> None:
    done = front(repository, "--quick", command="status")

    assert (done.status, "No such option" in done.err) == (2, True)


def test_without_threading_a_check_that_hangs_is_given_up_all_the_same() -> None:
    code = (
        "import sys, time\n"
        "from orchestrator.doctor.diagnosis import QuickCheck, ok\n"
        "from orchestrator.doctor.isolation import answered\n"
        "check = QuickCheck('a', 'g', 'a', '', lambda surface: ok('fine'))\n"
        "print(answered(check, lambda: ok('fine')).diagnosis.summary)\n"
        "print(answered(check, lambda: time.sleep(60), time_limit_s=0.05).diagnosis.summary)\n"
        "print('threading' in sys.modules)\n"
    )

    done = subprocess.run(  # a fresh interpreter, as the front door is
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("COV")},
    )

    assert done.stdout.splitlines() == ["fine", "a: no answer within 0.05 s.", "False"]


def _full(place: Path, *words: str) -> Printed:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = app.call(["-C", str(place), "doctor", *words])
    return Printed(status, out.getvalue(), err.getvalue())


def test_both_ways_make_the_same_checks_in_the_same_order() -> None:
    assert [check.id for check in QUICK] == [check.id for check in chosen(quick=True)]
    assert all(isinstance(check, QuickCheck) for check in QUICK)


def test_a_check_that_needs_a_closer_look_ends_the_quick_one() -> None:
    def unusual(surface: Surface) -> Diagnosis:
        raise LookCloser

    check = QuickCheck("a", "g", "a", "", unusual)

    with pytest.raises(LookCloser):
        answered(check, lambda: check.probe(Surface("/", {})))
    assert answered(check, lambda: ok("fine")).diagnosis.summary == "fine"


def test_the_signs_of_life_are_those_of_the_database(repository: Path, git: GitCall) -> None:
    with_a_run(repository, git)
    state = OrchestratorPaths(repository).state_file

    assert count_runs(str(state)) == 1
    assert count_runs(str(state) + ".not") is None
    with closing(sqlite3.connect(state)) as connection:
        connection.execute("PRAGMA application_id = 7")
    assert count_runs(str(state)) is None


def test_the_events_that_end_a_migration_are_those_of_its_record() -> None:
    ends = {event for event, state in STATES.items() if state not in OPEN}

    assert ends == ENDS
    assert set(STATES) - ends == BEGINNINGS


@pytest.mark.parametrize(
    ("journal", "ended"),
    [
        (b'{"event": "begun"}\n{"event": "completed"}\n', True),
        (b'{"event": "begun"}\n{"event": "completed"}\n{"event": "rollback-begun"}\n', False),
        (b'{"event": "begun"}\n{"event": "comp', False),
        (b"", False),
        (b"[]\n", False),
        (None, False),
    ],
)
def test_a_migration_has_ended_when_its_journal_plainly_says_so(
    tmp_path: Path, journal: bytes | None, ended: bool
) -> None:
    assert all_ended(str(tmp_path))
    place = tmp_path / ".orchestrator" / "migrations" / "m-1"
    place.mkdir(parents=True)
    assert all_ended(str(tmp_path)), "a directory without a plan is no migration"
    (place / "plan.json").write_text("{}")
    if journal is not None:
        (place / "journal.jsonl").write_bytes(journal)

    assert all_ended(str(tmp_path)) is ended
