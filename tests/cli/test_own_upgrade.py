"""An initialised repository of an earlier version of our own layout: its runs and operations go on."""

from __future__ import annotations

import json
import os
from pathlib import Path

from orchestrator.fs.disk import Disk
from orchestrator.migrate.record import State, records
from orchestrator.repo.git import find_repository
from orchestrator.takeover.moving import Mover
from tests.cli.conftest import Call
from tests.migrate.crashing import killed_at
from tests.migrate.test_upgrade import FIRST, SECOND, said_version, upgrader


def made_older(project: Path) -> None:
    """Lays an initialised repository out as the version before would have."""
    inside = project / ".orchestrator"
    (inside / "db").mkdir()
    for name in inside.glob("state.db*"):
        name.rename(inside / "db" / name.name.replace("state.db", "state.sqlite"))
    (inside / "artifacts").rename(inside / "runs")
    mark = json.loads((inside / "layout.json").read_text())
    (inside / "layout.json").write_text(json.dumps({**mark, "layout_version": 0}))


def mover(project: Path, *texts: str) -> Mover:
    located = find_repository(str(project), os.environ)
    return Mover(located, upgrader(project, *texts), Disk(), os.environ)


def operations(project: Path, call: Call) -> list[tuple[str, str]]:
    listed = call("ops", "--json", cwd=project).json["operations"]
    return [(one["kind"], one["status"]) for one in listed if one["kind"] == "migrate"]


def test_runs_go_on_after_an_upgrade_which_is_an_operation_that_can_be_undone(
    project: Path, call: Call
) -> None:
    assert call("run", "x", "--command", "touch made", "--run-id", "a", cwd=project).status == 0
    made_older(project)
    refused = call("status", cwd=project)

    moved = mover(project).migrate()

    assert "error[layout-older]" in refused.err
    assert (moved.outcome.did, moved.takeovers) == ("migrated", {})
    assert [run["id"] for run in call("status", "--json", cwd=project).json["runs"]] == ["a"]
    assert call("diff", "a", cwd=project).status == 0
    assert operations(project, call) == [("migrate", "done")]
    assert call("undo", "--yes", cwd=project).status == 0
    assert said_version(project) == 0
    assert (project / ".orchestrator/db/state.sqlite").exists()

    again = mover(project).migrate()

    assert again.outcome.did == "migrated"
    assert sorted(operations(project, call)) == [("migrate", "done"), ("migrate", "undone")]
    assert call("run", "x", "--command", "true", "--run-id", "b", cwd=project).status == 0


def test_between_two_versions_nothing_is_written_into_a_database_that_may_still_move(
    project: Path, call: Call
) -> None:
    assert call("run", "x", "--command", "true", "--run-id", "a", cwd=project).status == 0
    made_older(project)
    assert killed_at(40, lambda: mover(project, FIRST, SECOND).migrate())
    found = [one.state for one in records(project)]

    finished = mover(project, FIRST, SECOND).resume()

    assert found == [State.APPLYING]
    assert (finished.outcome.did, finished.takeovers, said_version(project)) == ("resumed", {}, 1)
    assert operations(project, call) == []
    assert mover(project, FIRST, SECOND).migrate().outcome.did == "migrated"
