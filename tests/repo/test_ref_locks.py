from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from orchestrator.discovery import locate
from orchestrator.errors import OrchestratorError
from orchestrator.paths import names
from orchestrator.repo import ref_locks
from orchestrator.repo.removal import remove_ref
from orchestrator.repo.repository import Repository
from tests.conftest import GitCall

REF = names.RUN_REFS + "one"


@pytest.fixture
def seen(repository: Path, git: GitCall) -> Repository:
    git(repository, "update-ref", REF, "HEAD")
    git(repository, "pack-refs", "--all")
    return Repository(locate(str(repository)), trusted=False)


def delete(seen: Repository) -> None:
    old = seen.read_ref(REF)
    assert old is not None
    remove_ref(seen, REF, old)


def test_a_lock_that_a_killed_deletion_of_ours_left_is_cleared(
    seen: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ref_locks, "_PATIENCE_S", 0.2)
    lock = seen.common_dir / "packed-refs.lock"
    lock.write_bytes(b"")
    (seen.common_dir / ref_locks.NOTE).write_bytes(b"")

    delete(seen)

    assert seen.read_ref(REF) is None
    assert not lock.exists()
    assert not (seen.common_dir / ref_locks.NOTE).exists()


def test_a_lock_that_somebody_else_holds_stays(seen: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ref_locks, "_PATIENCE_S", 0.2)
    lock = seen.common_dir / "packed-refs.lock"
    lock.write_bytes(b"")

    with pytest.raises(OrchestratorError):
        delete(seen)

    assert lock.exists()
    assert seen.read_ref(REF) is not None


def test_a_lock_that_a_living_git_lets_go_of_is_waited_for(seen: Repository) -> None:
    lock = seen.common_dir / "packed-refs.lock"
    lock.write_bytes(b"")
    (seen.common_dir / ref_locks.NOTE).write_bytes(b"")
    living = threading.Timer(0.8, lambda: os.unlink(lock))
    living.start()

    delete(seen)

    living.join()
    assert seen.read_ref(REF) is None


def test_nothing_of_ours_is_left_in_the_git_directory_once_every_ref_is_gone(
    seen: Repository, git: GitCall
) -> None:
    git(seen.checkout, "update-ref", "--create-reflog", names.BRANCHES + "one", "HEAD")
    ref_locks.tidy(seen)
    assert (seen.common_dir / "logs" / names.BRANCHES).is_dir()

    delete(seen)
    branch = seen.read_ref(names.BRANCHES + "one")
    assert branch is not None
    remove_ref(seen, names.BRANCHES + "one", branch)
    half = seen.common_dir / names.RUN_REFS / "one.lock"
    half.parent.mkdir(parents=True, exist_ok=True)
    half.write_bytes(b"")
    ref_locks.tidy(seen)

    left = [
        str(path)
        for path in seen.common_dir.rglob("*")
        if "orchestrator" in str(path.relative_to(seen.common_dir))
    ]
    assert left == []


def test_without_a_lock_there_is_nothing_to_clear(seen: Repository) -> None:
    assert ref_locks._clear_packed_lock(seen) is False


def test_while_a_ref_of_ours_is_left_nothing_is_tidied(seen: Repository) -> None:
    note = seen.common_dir / ref_locks.NOTE
    note.write_bytes(b"")

    ref_locks.tidy(seen)

    assert note.exists()
    assert seen.read_ref(REF) is not None
