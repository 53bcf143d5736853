"""Our own layout versions go through the same engine: shown, journalled, killed anywhere, taken back."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from orchestrator.errors import MigrationRefused, Refused
from orchestrator.fs.disk import Disk
from orchestrator.migrate.actions import Options
from orchestrator.migrate.catalogue import Kind, Layout, current_version, load_catalogue, parse_layout
from orchestrator.migrate.migration import Migrator
from orchestrator.migrate.plan import plan
from orchestrator.migrate.record import State, records
from orchestrator.migrate.survey import survey
from orchestrator.paths import names
from orchestrator.state.ownership import Ownership, read_ownership
from tests.conftest import GitCall
from tests.migrate.building import (
    database,
    litter,
    make_layout,
    plain,
    put,
    put_json,
    rows,
    snapshot,
)
from tests.migrate.conftest import Built
from tests.migrate.crashing import before_view, copied, effects_of, killed_at, sweep
from tests.sampling import EVERY

HEAD = """\
schema_version: 1
name: own-{before}
title: our own layout, version {before}
deprecated_since: {{version: "0.2", date: 2026-11-20}}
read_until: {{version: "1.0", date: 2027-11-30}}
upgrades: {{from: {before}, to: {after}}}
entries:
"""
FIRST = (
    HEAD.format(before=0, after=1)
    + """\
  - {source: .orchestrator/db/state.sqlite, kind: database, action: move, target: state.db}
  - {source: .orchestrator/runs, kind: artifact, action: merge, target: artifacts}
  - {source: ".orchestrator/tokens/*.age", kind: secret, action: move, target: secrets}
  - {source: .orchestrator/never-there, kind: log, action: move, target: logs/x}
"""
)
SECOND = (
    HEAD.format(before=1, after=2)
    + """\
  - {source: .orchestrator/artifacts, kind: artifact, action: move, target: outputs/all}
"""
)
MARK = b'{"tool": "orchestrator",  "layout_version": 0, "repo_id": "00ff"}\n'


def layout(text: str) -> Layout:
    return parse_layout(text.encode(), "own.yaml", packaged=True)


def upgrader(root: Path, *texts: str) -> Migrator:
    own = [layout(text) for text in texts or (FIRST,)]
    return Migrator(root, catalogue=(*load_catalogue(), *own), disk=Disk(), make_layout=make_layout)


def version_0(root: Path) -> None:
    """Builds an `.orchestrator/` as a version before the first one would have left it."""
    inside = root / ".orchestrator"
    put(inside / ".gitignore", b"/*\n")
    put(inside / "layout.json", MARK, 0o640)
    database(inside / "db/state.sqlite", wal=True)
    put(inside / "runs/r1/transcript.txt", b"said\n", 0o600)
    put(inside / "runs/r2/report.md", b"done\n")
    put(inside / "tokens/A.age", b"secret", 0o644)
    put(inside / "workflow.yaml", b"version: 1\n")
    (inside / "artifacts").mkdir()
    (inside / "locks").mkdir()


def said_version(root: Path) -> object:
    return json.loads((root / ".orchestrator/layout.json").read_text())["layout_version"]


def test_a_version_before_ours_is_recognised_and_shown_as_one_whole(tmp_path: Path) -> None:
    version_0(tmp_path)

    shown = upgrader(tmp_path).preview()

    assert (shown.plan.place, shown.troubles, shown.pending) == ("older", (), True)
    assert [(one.source, one.target) for one in shown.plan.actions] == [
        (".orchestrator/db/state.sqlite-wal", ".orchestrator/state.db-wal"),
        (".orchestrator/db/state.sqlite-shm", ".orchestrator/state.db-shm"),
        (".orchestrator/db/state.sqlite", ".orchestrator/state.db"),
        (".orchestrator/runs", ".orchestrator/artifacts"),
        (".orchestrator/tokens/A.age", ".orchestrator/secrets/A.age"),
        (".orchestrator/layout.json", ".orchestrator/layout.json"),
    ]
    assert shown.plan.steps[-1].op == "stamp"
    assert shown.plan.actions[-1].reason == "version 0 becomes 1"


def test_the_plan_is_pure_and_changes_nothing(tmp_path: Path) -> None:
    version_0(tmp_path)
    before = snapshot(tmp_path)
    catalogue = (*load_catalogue(), layout(FIRST))

    found = survey(tmp_path, catalogue)

    assert plan(found) == plan(found) == plan(survey(tmp_path, catalogue))
    assert snapshot(tmp_path) == before


def test_an_upgrade_moves_everything_and_marks_the_directory_last(tmp_path: Path) -> None:
    version_0(tmp_path)
    inside = tmp_path / ".orchestrator"

    done = upgrader(tmp_path).migrate()
    again = upgrader(tmp_path).migrate()

    assert (done.did, again.did, done.more) == ("migrated", "nothing", False)
    assert rows(inside / "state.db") == 1
    assert (inside / "artifacts/r1/transcript.txt").read_bytes() == b"said\n"
    assert (inside / "secrets/A.age").stat().st_mode & 0o777 == 0o600
    assert json.loads((inside / "layout.json").read_bytes()) == {
        "tool": "orchestrator",
        "layout_version": 1,
        "repo_id": "00ff",
    }
    assert (inside / "layout.json").stat().st_mode & 0o777 == 0o640
    assert done.record is not None
    assert (done.record.originals / ".orchestrator/layout.json").read_bytes() == MARK
    assert read_ownership(str(inside)) is Ownership.OURS


def test_a_rollback_gives_back_every_bit_of_the_earlier_version(tmp_path: Path) -> None:
    version_0(tmp_path)
    before = before_view(tmp_path)
    upgrader(tmp_path).migrate()

    back = upgrader(tmp_path).take_back()

    assert back.did == "rolled-back"
    assert before_view(tmp_path) == before
    assert read_ownership(str(tmp_path / ".orchestrator")) is Ownership.OLDER


def test_what_was_written_since_does_not_stand_in_the_way_of_a_rollback_and_goes_along(
    tmp_path: Path,
) -> None:
    version_0(tmp_path)
    upgrader(tmp_path).migrate()
    put(tmp_path / ".orchestrator/artifacts/r3/transcript.txt", b"new\n")

    upgrader(tmp_path).take_back()

    assert (tmp_path / ".orchestrator/runs/r3/transcript.txt").read_bytes() == b"new\n"
    assert said_version(tmp_path) == 0


def test_a_lost_original_of_the_mark_is_written_anew(tmp_path: Path) -> None:
    version_0(tmp_path)
    record = upgrader(tmp_path).migrate().record
    assert record is not None
    (record.originals / ".orchestrator/layout.json").unlink()

    upgrader(tmp_path).take_back()

    assert said_version(tmp_path) == 0
    assert (tmp_path / ".orchestrator/runs/r1/transcript.txt").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
@EVERY
def test_a_kill_at_any_effect_of_an_upgrade_is_finished_or_taken_back(
    built: Built, fast: Path, every: bool
) -> None:
    kills = sweep(built(version_0), fast, few=None if every else 6, made=upgrader)

    assert kills > 40 if every else kills == 12


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
def test_until_the_last_file_has_arrived_the_mark_tells_the_earlier_version(built: Built, fast: Path) -> None:
    master = built(version_0)
    trial = copied(master, fast / "trial")
    effects = effects_of(lambda: upgrader(trial).migrate())
    stamped = max(at for at, effect in enumerate(effects, 1) if effect.endswith("/.orchestrator/layout.json"))

    for number in range(2, len(effects) + 1, 3):
        root = copied(master, fast / f"case-{number}")
        assert killed_at(number, lambda root=root: upgrader(root).migrate())  # type: ignore[misc]

        arrived = (root / ".orchestrator/secrets/A.age").exists()
        assert said_version(root) == (1 if number > stamped else 0)
        assert arrived or said_version(root) == 0


def test_versions_follow_one_another_each_a_migration_of_its_own(tmp_path: Path) -> None:
    version_0(tmp_path)
    before = before_view(tmp_path)

    done = upgrader(tmp_path, FIRST, SECOND).migrate()

    assert [len(done.earlier), done.more, said_version(tmp_path)] == [1, False, 2]
    assert [one.state for one in records(tmp_path)] == [State.COMPLETED, State.COMPLETED]
    assert (tmp_path / ".orchestrator/outputs/all/r1/transcript.txt").exists()
    first = done.earlier[0].plan
    assert first.actions[-1].reason == "version 0 becomes 1; version 2 follows"
    with pytest.raises(Refused) as caught:
        upgrader(tmp_path, FIRST, SECOND).take_back(first.id)
    assert caught.value.code == "migration-superseded"
    assert said_version(tmp_path) == 2

    upgrader(tmp_path, FIRST, SECOND).take_back()
    assert said_version(tmp_path) == 1
    upgrader(tmp_path, FIRST, SECOND).take_back(first.id)
    assert before_view(tmp_path) == before


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
def test_a_kill_in_a_chain_is_finished_by_going_on(built: Built, fast: Path) -> None:
    master = built(version_0)
    trial = copied(master, fast / "trial")
    effects = len(effects_of(lambda: upgrader(trial, FIRST, SECOND).migrate()))

    for number in range(1, effects + 1, 5):
        root = copied(master, fast / f"c{number}")
        assert killed_at(number, lambda root=root: upgrader(root, FIRST, SECOND).migrate())  # type: ignore[misc]

        while upgrader(root, FIRST, SECOND).migrate().did != "nothing":
            pass

        assert said_version(root) == 2, number
        assert (root / ".orchestrator/outputs/all/r1/transcript.txt").exists()
        assert rows(root / ".orchestrator/state.db") == 1
        assert litter(root) == []


def test_files_of_other_orchestrators_wait_for_the_next_call(tmp_path: Path) -> None:
    version_0(tmp_path)
    plain(tmp_path)

    first = upgrader(tmp_path).migrate()
    waits = (tmp_path / ".orch_secrets").exists()
    second = upgrader(tmp_path).migrate()

    assert (first.more, waits) == (True, True)
    assert (second.did, second.earlier) == ("migrated", ())
    assert not (tmp_path / ".orch_secrets").exists()


def test_an_upgrade_is_not_done_in_part(tmp_path: Path) -> None:
    version_0(tmp_path)
    before = before_view(tmp_path)

    with pytest.raises(MigrationRefused) as caught:
        upgrader(tmp_path).migrate(Options(only=(Kind.ARTIFACT,)))

    assert caught.value.code == "upgrade-in-part"
    assert before_view(tmp_path) == before


def test_links_and_tracked_files_stop_an_upgrade_instead_of_staying_behind(
    repository: Path, git: GitCall
) -> None:
    version_0(repository)
    inside = repository / ".orchestrator"
    git(repository, "add", "-f", ".orchestrator/runs/r2/report.md")
    (inside / "tokens/B.age").symlink_to("A.age")

    shown = upgrader(repository).preview()

    assert {one.code for one in shown.troubles} == {"tracked", "link-outside"}


def test_a_version_that_nothing_upgrades_is_refused_by_name(tmp_path: Path) -> None:
    version_0(tmp_path)

    with pytest.raises(MigrationRefused) as caught:
        Migrator(tmp_path, catalogue=load_catalogue(), disk=Disk()).migrate()

    assert caught.value.code == "layout-older"


def test_ours_and_a_newer_version_are_no_upgrade(tmp_path: Path) -> None:
    for version, place in ((1, "ours"), (2, "newer")):
        put_json(
            tmp_path / ".orchestrator/layout.json",
            {"tool": "orchestrator", "layout_version": version, "repo_id": "x"},
        )
        assert upgrader(tmp_path).preview().plan.place == place


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("from: 0, to: 1", "from: 0, to: 2", "to the next one"),
        ("from: 0, to: 1", "from: -1, to: 0", "greater than or equal to 0"),
        (".orchestrator/runs,", "runs,", "moves or merges within"),
        (".orchestrator/runs,", ".orchestrator/migrations/x,", "moves or merges within"),
        ("action: merge, target: artifacts", "action: import", "moves or merges within"),
        ("target: artifacts", "target: locks/x", "kept for our own state"),
        ("target: artifacts", "target: layout.json", "kept for our own state"),
        ("entries:", "recognise: {any: [{path: x}]}\nentries:", "either recognise or upgrades"),
        ("upgrades: {from: 0, to: 1}\n", "", "either recognise or upgrades"),
    ],
)
def test_a_wrong_upgrade_is_refused_with_its_reason(old: str, new: str, said: str) -> None:
    assert old in FIRST

    with pytest.raises(Refused) as caught:
        layout(FIRST.replace(old, new, 1))

    assert said in caught.value.message


def test_only_the_package_may_say_that_a_layout_is_ours(tmp_path: Path) -> None:
    mine = put(tmp_path / "mine.yaml", FIRST.encode())

    with pytest.raises(Refused, match="only layouts of the package") as caught:
        load_catalogue(files=[mine])

    assert caught.value.code == "layout-invalid"


def test_the_catalogue_of_the_package_ends_at_the_version_that_init_makes() -> None:
    assert current_version(load_catalogue()) == names.LAYOUT_VERSION
