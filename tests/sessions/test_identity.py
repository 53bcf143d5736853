"""Sessions in directories of a real disk: made once, adopted, renamed, known to be alive."""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.errors import Refused
from orchestrator.fs.disk import Disk
from orchestrator.fs.effects import observe
from orchestrator.fs.lock import FileLock
from orchestrator.paths import OrchestratorPaths
from orchestrator.sessions import identity
from orchestrator.sessions.environment import detect
from orchestrator.sessions.finding import of_this_boot, session_names
from orchestrator.sessions.heartbeat import Heartbeat
from orchestrator.sessions.identity import Here
from orchestrator.state.layout import create_layout

CODESPACE = detect({"CODESPACES": "true", "CODESPACE_NAME": "a"})
HERE = Here(CODESPACE, "boot1/codespace/a", (1, 10))
LATER = Here(CODESPACE, "boot2/codespace/a", (1, 10))


class Cut(Exception):
    """The power is gone."""


@pytest.fixture
def root(tmp_path: Path) -> OrchestratorPaths:
    paths = OrchestratorPaths(tmp_path)
    create_layout(paths, Disk(), private=False, workflow_yaml=None)
    return paths


def test_a_session_is_made_once_for_a_boot_and_is_private(root: OrchestratorPaths) -> None:
    made = identity.create(root, Disk(), HERE)

    assert identity.create(root, Disk(), HERE).id == made.id
    assert made.id.startswith("codespace-boot1-")
    assert [each.id for each in identity.list_sessions(root)] == [made.id]
    assert all(p.stat().st_mode & 0o077 == 0 for p in [root.sessions_dir, *root.sessions_dir.rglob("*")])


def test_two_processes_at_once_make_one_session(root: OrchestratorPaths) -> None:
    made: list[str] = []
    threads = [
        threading.Thread(target=lambda: made.append(identity.create(root, Disk(), HERE).id)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 4
    assert len(set(made)) == 1


def test_a_kill_at_any_effect_leaves_no_session_or_a_whole_one(root: OrchestratorPaths) -> None:
    effects: list[str] = []
    with observe(effects.append):
        identity.create(root, Disk(), HERE)
    for number in range(len(effects)):
        place = OrchestratorPaths(root.base_dir / f"cut{number}")
        create_layout(place, Disk(), private=False, workflow_yaml=None)
        left = [number]

        def cut(effect: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Cut

        with suppress(Cut), observe(cut):
            identity.create(place, Disk(), HERE)
        again = identity.create(place, Disk(), HERE)

        assert [each.id for each in identity.list_sessions(place)] == [again.id]
        assert identity.current(identity.list_sessions(place), HERE) == again


def test_another_boot_adopts_a_session_under_its_id(root: OrchestratorPaths) -> None:
    made = identity.create(root, Disk(), HERE)

    adopted = identity.adopt(root, Disk(), made, LATER)

    assert (adopted.id, adopted.directory) == (made.id, made.directory)
    assert identity.current(identity.list_sessions(root), LATER) == adopted
    assert identity.current(identity.list_sessions(root), HERE) is None


def test_the_one_adopted_last_is_current_whatever_the_clock_says(root: OrchestratorPaths) -> None:
    old = identity.create(root, Disk(), HERE)
    new = identity.create(root, Disk(), LATER)
    path = new.directory / "identity.json"
    path.write_text(path.read_text().replace(str(datetime.now(UTC).year), "2099", 1))

    adopted = identity.adopt(root, Disk(), old, LATER)

    assert identity.current(identity.list_sessions(root), LATER) == adopted


def test_a_copy_made_while_the_machine_ran_gets_an_id_of_its_own(root: OrchestratorPaths) -> None:
    made = identity.create(root, Disk(), HERE)
    copied = Here(HERE.environment, HERE.boot, (1, 11))

    assert identity.current(identity.list_sessions(root), copied) is None
    adopted = identity.adopt(root, Disk(), made, copied)

    assert adopted.id != made.id
    assert not made.directory.exists()
    assert adopted.directory.name == adopted.id


def test_the_front_door_finds_what_was_written(root: OrchestratorPaths) -> None:
    made = identity.create(root, Disk(), HERE)

    assert of_this_boot(str(root.sessions_dir), HERE.boot, HERE.git_dir) == [made.id]
    assert of_this_boot(str(root.sessions_dir), LATER.boot, HERE.git_dir) == []
    assert of_this_boot(str(root.sessions_dir), HERE.boot, (1, 1)) == []


def test_what_is_no_session_is_not_taken_for_one(root: OrchestratorPaths, tmp_path: Path) -> None:
    made = identity.create(root, Disk(), HERE)
    (root.sessions_dir / "1234abcd").mkdir()
    (root.sessions_dir / "1234abcd" / "state.json").write_text("{}")  # of an earlier tool
    (root.sessions_dir / "link").symlink_to(made.directory)

    assert session_names(str(root.sessions_dir)) == [made.id]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 2}', '{"id": 3}', "\x00" * 5000])
def test_a_torn_identity_is_nobodys_and_its_state_is_still_found(root: OrchestratorPaths, text: str) -> None:
    made = identity.create(root, Disk(), HERE)
    (made.directory / "identity.json").write_text(text)

    (found,) = identity.list_sessions(root)

    assert (found.id, found.boot, found.turn) == (made.id, "", 0)
    assert identity.adopt(root, Disk(), found, HERE).id == made.id


def test_a_session_has_a_name_that_no_other_has(root: OrchestratorPaths) -> None:
    first, second = identity.create(root, Disk(), HERE), identity.create(root, Disk(), LATER)
    renamed = identity.rename(root, Disk(), first, "mine")

    assert identity.find(identity.list_sessions(root), "mine") == renamed
    for name in ("mine", first.id):
        with pytest.raises(Refused) as refused:
            identity.rename(root, Disk(), second, name)
        assert refused.value.code == "session-name-taken"
    with pytest.raises(Refused) as refused:
        identity.rename(root, Disk(), second, "../x")
    assert refused.value.code == "session-name-invalid"
    assert identity.rename(root, Disk(), first, "").name == ""


def test_a_session_is_found_by_the_beginning_of_its_id(root: OrchestratorPaths) -> None:
    first = identity.create(root, Disk(), HERE)
    identity.create(root, Disk(), LATER)
    sessions = identity.list_sessions(root)

    assert identity.find(sessions, first.id[:17]) == first
    for text, code in (("codespace", "session-ambiguous"), ("x", "session-unknown"), ("", "session-unknown")):
        with pytest.raises(Refused) as refused:
            identity.find(sessions, text)
        assert refused.value.code == code


def test_a_session_lives_while_a_run_is_held_or_it_beats_elsewhere(root: OrchestratorPaths) -> None:
    made, now = identity.create(root, Disk(), HERE), datetime.now(UTC)
    assert identity.is_alive(made, HERE, now)
    assert not identity.is_alive(made, LATER, now)

    with FileLock(made.directory / "locks/run-r1.lock", what="run r1", command="x"):
        assert identity.living_runs(made) == ("r1",)
        assert identity.is_alive(made, LATER, now)
    with Heartbeat(made):
        (beating,) = identity.list_sessions(root)
    assert identity.is_alive(beating, LATER, now)
    assert not identity.is_alive(beating, LATER, now + timedelta(days=1))


def test_a_heartbeat_from_the_future_counts_as_life(root: OrchestratorPaths) -> None:
    made = identity.create(root, Disk(), HERE)
    identity.beat(Disk(), made)
    os.utime(made.directory / "heartbeat", (4e9, 4e9))

    (found,) = identity.list_sessions(root)

    assert identity.is_alive(found, LATER, datetime.now(UTC))


def test_the_heart_goes_on_beating(root: OrchestratorPaths) -> None:
    made = identity.create(root, Disk(), HERE)
    beats, enough = [], threading.Event()

    def note(effect: str) -> None:
        if "write" in effect and effect.endswith("heartbeat"):
            beats.append(effect)
            if len(beats) > 2:
                enough.set()

    with observe(note), Heartbeat(made, interval_s=0.01):
        assert enough.wait(30)


def test_the_identity_says_what_it_says(root: OrchestratorPaths) -> None:
    made = identity.create(root, Disk(), HERE)

    facts = json.loads((made.directory / "identity.json").read_text())

    assert facts == {
        "schema_version": 1,
        "id": made.id,
        "name": "",
        "environment": "codespace",
        "boot": HERE.boot,
        "git_dir": [1, 10],
        "turn": 1,
        "created_at": facts["created_at"],
    }
