"""`doctor --fix` moves what earlier orchestrators left where nothing is doubtful, and finishes migrations."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from orchestrator.doctor.diagnosis import Status
from orchestrator.fs.effects import observe
from orchestrator.fs.lock import FileLock
from orchestrator.migrate.record import OPEN, State, records
from orchestrator.paths import OrchestratorPaths
from tests.conftest import GitCall
from tests.doctor.conftest import Ask, front, snapshot
from tests.takeover import w_files


class Cut(BaseException):
    """Ends a command as a kill does."""


@pytest.fixture
def old(repository: Path) -> Path:
    """Returns a repository with state of W in its root, never initialised."""
    w_files.write_json(repository / ".workflow_state.json", w_files.a_state())
    w_files.write_lines(repository / ".workflow_log.jsonl", w_files.a_log())
    return repository


def interrupted(root: Path, *words: str, at: str = "rename ") -> None:
    """Cuts `migrate` off at its first effect of a kind once it has begun."""

    def cut(effect: str) -> None:
        if effect.startswith(at) and any(one.state in OPEN for one in records(root)):
            raise Cut

    with observe(cut), pytest.raises(Cut):
        _call(root, *words)
    assert any(one.state in OPEN for one in records(root))


def _call(root: Path, *words: str) -> None:
    from orchestrator.doctor.context import Context
    from orchestrator.migrate.catalogue import load_catalogue
    from orchestrator.takeover.moving import mover

    found = mover(Context(str(root), dict(os.environ)).located(), dict(os.environ), load_catalogue())
    if words:
        found.take_back()
    else:
        found.migrate()


def test_what_is_safe_to_move_is_moved_and_recorded_and_can_be_taken_back(old: Path, ask: Ask) -> None:
    found = ask("legacy-state")
    assert (found.status, found.fixable) == (Status.WARN, True)
    before = (old / ".workflow_state.json").read_bytes()

    done = front(old, "--fix")

    [record] = records(old)
    assert f"orchestrator migrate --rollback {record.plan.id}" in done.out
    assert " and took over " in done.out
    assert not (old / ".workflow_state.json").exists()
    assert ask("legacy-state").status is Status.OK
    kinds = {each["kind"] for each in json.loads(front(old, "--json", command="ops").out)["operations"]}
    assert kinds == {"migrate"}
    assert front(old, "--rollback", record.plan.id, "--yes", command="migrate").status == 0
    assert (old / ".workflow_state.json").read_bytes() == before


def test_a_dry_run_says_it_and_changes_nothing(old: Path) -> None:
    before = snapshot(old)

    done = front(old, "--fix", "--dry-run")

    assert "would move 2 entries of an earlier orchestrator into " in done.out
    assert snapshot(old) == before


@pytest.mark.parametrize("doubt", ["tracked", "secret", "link", "foreign", "own layout"])
def test_what_is_doubtful_stays_and_is_not_called_fixable(
    old: Path, git: GitCall, ask: Ask, doubt: str
) -> None:
    if doubt == "tracked":
        git(old, "add", "-f", ".workflow_state.json")
    elif doubt == "secret":
        (old / ".secrets.enc").write_bytes(b"secret")
    elif doubt == "link":
        (old / ".workflow_sessions").symlink_to(old.parent)
    elif doubt == "foreign":
        (old / ".orchestrator").mkdir()
        (old / ".orchestrator" / "notes.txt").write_text("of somebody else\n")
    else:
        for path in old.glob(".workflow_*"):
            path.unlink()
        assert front(old, command="init").status == 0
        place = old / ".orchestrator" / "layouts"
        place.mkdir()
        source = Path(w_files.__file__).parents[2] / "orchestrator" / "migrate" / "layouts" / "plain.yaml"
        (place / "mine.yaml").write_text(source.read_text().replace("name: plain", "name: mine"))
    before = snapshot(old)

    found = ask("legacy-state")
    front(old, "--fix", "--only", "legacy-state")

    assert not found.fixable
    assert snapshot(old) == before


def test_an_interrupted_migration_is_finished(old: Path, ask: Ask) -> None:
    interrupted(old)
    found = ask("legacy-interrupted")
    assert (found.status, found.fixable) == (Status.FAIL, True)
    assert not ask("legacy-state").fixable, "what is half done comes first"

    done = front(old, "--fix")

    [record] = records(old)
    assert record.state is State.COMPLETED
    assert f"finished the migration {record.plan.id}" in done.out
    assert f"orchestrator migrate --rollback {record.plan.id}" in done.out
    assert ask("legacy-interrupted").status is Status.OK


def test_an_interrupted_rollback_goes_on_backwards(old: Path, ask: Ask) -> None:
    front(old, "--fix")
    interrupted(old, "back")

    planned = front(old, "--fix", "--dry-run", "--only", "legacy-interrupted")
    done = front(old, "--fix", "--only", "legacy-interrupted")

    assert "would finish taking back the migration" in planned.out
    assert "took the migration" in done.out
    assert (old / ".workflow_state.json").exists()
    assert ask("legacy-interrupted").status is Status.OK


def test_during_a_live_run_a_migration_waits_and_says_why(old: Path, ask: Ask) -> None:
    interrupted(old)
    paths = OrchestratorPaths(old)
    paths.locks_dir.mkdir(exist_ok=True)

    with FileLock(paths.run_lock("run-1"), what="run", command="orchestrator run"):
        done = front(old, "--fix", "--only", "legacy-interrupted")

    assert done.out.startswith("left  finish the migration")
    assert "in use" in done.out
    assert ask("legacy-interrupted").status is Status.FAIL
