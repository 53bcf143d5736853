"""`migrate` killed, or refused by the kernel, at system calls that change something, as seen from outside.

From each crash state one copy is finished by `migrate`, another taken back by `migrate --rollback`.
"""

from __future__ import annotations

import collections
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.campaign.scene import Scene, kill_all
from tests.campaign.tracing import ALL, Point, broken, points, spread, traced
from tests.conftest import GitCall
from tests.migrate.building import Facts, contents, litter, put, rows, snapshot
from tests.takeover import w_files

pytestmark = pytest.mark.usefixtures("strace")

MIGRATE = ("migrate", "-y")
ROLLBACK = ("migrate", "--rollback", "-y")
KILL = "signal=SIGKILL"

_MAY_STAY = tuple(f".orchestrator/{name}" for name in ("locks", "migrations"))
_MADE = (
    *("locks", "state.db", "state.db-wal", "state.db-shm", ".gitignore", "layout.json", "place.json"),
    *("workflow.yaml", "workflow.schema.json", "artifacts/legacy-w/approvals.db"),
)
_RECORD = ("journal.jsonl", "plan.json", "made.json", "report.json", "takeover.jsonl", "layout")


def scattered(root: Path) -> None:
    """Writes an entry of every kind of the first generation: its database has rows in the log alone."""
    w_files.write_json(root / ".workflow_state.json", w_files.a_state())
    w_files.write_lines(root / ".workflow_log.jsonl", w_files.a_log())
    for name in ("cp_20260107_043001_bddea0", "cp_20260107_044001_0ddba1"):
        w_files.write_json(root / f".workflow_checkpoints/{name}.json", w_files.a_checkpoint())
    _with_log(w_files.write_approvals(root / ".workflow_approvals.db"))
    put(root / ".secrets.enc", b"encrypted", 0o644)
    put(root / ".orchestrator.yaml", b'test_command: "pytest -q"\nodd: 1\n')
    put(root / ".workflow_tool_feedback.jsonl", b'{"tool": "t"}\n')
    put(root / ".workflow_feedback.jsonl.migrated", b"debris\n")
    put(root / ".claude/prd_state.json", b'{"prd": 1}')
    put(root / ".claude/prompts/a.md", b"a prompt\n")
    put(root / ".claude/settings.json", b'{"theirs": 1}')
    put(root / ".review_history/one.json", b'{"review": 1}', 0o400)
    put(root / ".wfo_logs/one.log", b"log\n" * 100)
    os.chmod(root / ".review_history", 0o2750)


def scattered_and_inside(root: Path) -> None:
    """Writes the later generations too, which lie in `.orchestrator/` itself."""
    scattered(root)
    w_files.write_json(root / ".orchestrator/state.json", w_files.a_task_list())
    w_files.write_lines(root / ".orchestrator/audit.jsonl", [w_files.a_tool_use()])


def _with_log(path: Path) -> None:
    """Leaves the last change of a database in its log, as a killed program does."""
    child = os.fork()
    if child == 0:
        connection = sqlite3.connect(path)
        connection.execute("update approvals set decision_reason = 'late'")
        connection.commit()
        os._exit(0)
    os.waitpid(child, 0)
    assert Path(f"{path}-wal").stat().st_size


@dataclass(frozen=True)
class Campaign:
    """A pristine repository, what an undisturbed migration makes of it, and where it does so."""

    pristine: Path
    stage: Path
    git: GitCall
    before: Facts
    done: Facts
    runs: list[tuple[object, ...]]
    found: Sequence[Point]

    def crash(self, point: Point, fault: str) -> int:
        """Breaks a fresh migration at one point and returns how it ended."""
        _copy(self.pristine, self.stage)
        scene = Scene(self.stage, self.git)
        status = broken(scene, MIGRATE, self.stage.parent / "trace", point, fault, ALL).returncode
        kill_all(self.stage)
        return status

    def check_recovery(self, point: Point, fault: str) -> None:
        """Demands that `migrate` finishes the crash state, and `--rollback` takes a copy of it back."""
        crashed = self.stage.parent / "crashed"
        _copy(self.stage, crashed)
        self.finish(point, fault)
        _copy(crashed, self.stage)
        back = Scene(self.stage, self.git).call(*ROLLBACK)
        assert back.returncode == 0, (point, fault, back.stderr)
        assert _before_view(self.stage) == self.before, (point, fault)

    def finish(self, point: Point, fault: str) -> None:
        """Demands that `migrate` leaves everything at its place exactly once."""
        scene = Scene(self.stage, self.git)
        again = scene.call(*MIGRATE)
        assert again.returncode == 0, (point, fault, again.stderr)
        assert _done_view(self.stage) == self.done, (point, fault)
        assert rows(self.stage / ".orchestrator/artifacts/legacy-w/approvals.db") == 3, (point, fault)
        assert _runs(scene) == self.runs, (point, fault)
        assert "Nothing to migrate" in scene.call(*MIGRATE).stdout, (point, fault)
        assert litter(self.stage) == [], (point, fault)


def campaign(repository: Path, git: GitCall, tmp_path: Path, *, inside: bool) -> Campaign:
    """Returns a campaign whose points are all those of an undisturbed, traced migration."""
    (scattered_and_inside if inside else scattered)(repository)
    before, stage = _before_view(repository), tmp_path / "case" / "repo"
    _copy(repository, stage)
    scene, log = Scene(stage, git), tmp_path / "undisturbed"
    finished = traced(scene, MIGRATE, log, calls=ALL)
    assert finished.returncode == 0, finished.stderr
    _check_once(contents(repository), contents(stage))
    return Campaign(
        pristine=repository,
        stage=stage,
        git=git,
        before=before,
        done=_done_view(stage),
        runs=_runs(scene),
        found=points(log, below=stage, calls=ALL),
    )


def _check_once(before: list[str], after: list[str]) -> None:
    """Demands that every content is there as often as it was."""
    now = collections.Counter(after)
    assert {one: now[one] for one in before} == collections.Counter(before)


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def _runs(scene: Scene) -> list[tuple[object, ...]]:
    """Returns what `status` tells of the runs that were taken over, but when that was."""
    runs = json.loads(scene.call("status", "--json").stdout)["runs"]
    return sorted((run["id"], run["status"], run["task"], str(run["phases"])) for run in runs)


def _before_view(root: Path) -> Facts:
    """Returns the whole tree, git's directory too, without what a rollback may leave of ours."""
    assert not [one for one in litter(root) if "/migrations/" not in one]
    return snapshot(root, skip=_MAY_STAY)


def _done_view(root: Path) -> Facts:
    """Returns the whole tree without files of ours that hold times or names of their own."""
    (record,) = (root / ".orchestrator/migrations").iterdir()
    skip = [f".orchestrator/{name}" for name in _MADE]
    skip += [f".orchestrator/migrations/{record.name}/{name}" for name in _RECORD]
    facts = snapshot(root, skip=skip)
    for name in (".gitignore", "workflow.yaml"):
        facts[name] = ((root / ".orchestrator" / name).read_text(),)
    assert (root / ".orchestrator/layout.json").is_file()
    return facts


def test_a_migration_killed_at_any_of_six_calls_is_finished_or_taken_back(
    repository: Path, git: GitCall, tmp_path: Path
) -> None:
    attack = campaign(repository, git, tmp_path, inside=True)
    chosen = spread(attack.found, 6)
    assert len(chosen) == 6

    for point in chosen:
        assert attack.crash(point, KILL) == -9, f"{point} was not met"
        attack.check_recovery(point, KILL)


def break_rollback(attack: Campaign, fault: str, limit: int) -> None:
    """Breaks a rollback at up to `limit` calls, and demands that the next one ends where it all began."""
    migrated, log = attack.stage.parent / "migrated", attack.stage.parent / "trace"
    _copy(attack.stage, migrated)
    scene = Scene(attack.stage, attack.git)
    assert traced(scene, ROLLBACK, log, calls=ALL).returncode == 0
    assert _before_view(attack.stage) == attack.before

    for point in spread(points(log, below=attack.stage, calls=ALL), limit):
        _copy(migrated, attack.stage)
        broken(scene, ROLLBACK, log, point, fault, ALL)
        kill_all(attack.stage)
        again = scene.call(*ROLLBACK)
        assert again.returncode == 0, (point, fault, again.stderr)
        assert _before_view(attack.stage) == attack.before, (point, fault)


def test_a_rollback_killed_at_any_of_four_calls_is_taken_up_again(
    repository: Path, git: GitCall, tmp_path: Path
) -> None:
    break_rollback(campaign(repository, git, tmp_path, inside=True), KILL, 4)


@pytest.mark.long
@pytest.mark.parametrize("fault", [KILL, "error=EIO", "error=ENOSPC", "error=EACCES"])
@pytest.mark.parametrize("inside", [True, False])
def test_a_rollback_broken_at_every_call_is_taken_up_again(
    repository: Path, git: GitCall, tmp_path: Path, inside: bool, fault: str
) -> None:
    break_rollback(campaign(repository, git, tmp_path, inside=inside), fault, 100_000)


@pytest.mark.long
@pytest.mark.parametrize("fault", [KILL, "error=EIO", "error=ENOSPC", "error=EACCES"])
@pytest.mark.parametrize("inside", [True, False])
def test_a_migration_broken_at_every_call_is_finished_or_taken_back(
    repository: Path, git: GitCall, tmp_path: Path, inside: bool, fault: str
) -> None:
    attack = campaign(repository, git, tmp_path, inside=inside)

    for point in attack.found:
        status = attack.crash(point, fault)
        assert status in (-9, 0, 2, 3), (point, status)
        if status == 0:
            attack.finish(point, fault)
        else:
            attack.check_recovery(point, fault)
