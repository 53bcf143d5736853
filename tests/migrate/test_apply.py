"""Applying moves everything once, keeps everything about it, and refuses before it would have to guess."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.errors import Locked, MigrationConflict, MigrationRefused, OrchestratorError, Refused
from orchestrator.fs.lock import FileLock
from orchestrator.migrate.actions import Options
from tests.conftest import GitCall
from tests.migrate.building import (
    contents,
    database,
    litter,
    migrator,
    plain,
    put,
    rows,
    snapshot,
    w,
    w_inside,
)


def refusal(root: Path, options: Options | None = None) -> OrchestratorError:
    """Returns what `migrate` refuses with, after making sure that it changed nothing."""
    before = snapshot(root, skip=(".git", ".orchestrator/locks"))
    with pytest.raises(OrchestratorError) as caught:
        migrator(root).migrate(options)
    assert snapshot(root, skip=(".git", ".orchestrator/locks")) == before
    return caught.value


@contextmanager
def held_open(path: Path, statement: str) -> Iterator[None]:
    """Another process has the database open; closing a file drops the locks of a process, so not this one."""
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute(sys.argv[2]).fetchall(); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, path, statement], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield
        child.communicate()


def test_every_byte_is_kept_exactly_once(tmp_path: Path) -> None:
    plain(tmp_path)
    before = contents(tmp_path)

    migrator(tmp_path).migrate()

    after = contents(tmp_path)
    for one in before:
        assert after.count(one) == before.count(one)


def test_a_second_run_says_nothing_to_do_and_changes_nothing(tmp_path: Path) -> None:
    w(tmp_path)
    migrator(tmp_path).migrate()
    before = snapshot(tmp_path, skip=(".orchestrator/locks",))

    assert migrator(tmp_path).migrate().did == "nothing"
    assert snapshot(tmp_path, skip=(".orchestrator/locks",)) == before


def test_only_what_is_ours_is_taken_out_of_another_tools_directory(tmp_path: Path) -> None:
    w(tmp_path)

    migrator(tmp_path).migrate()

    assert sorted(os.listdir(tmp_path / ".claude")) == ["hooks", "settings.json"]


def test_secrets_land_private(tmp_path: Path) -> None:
    w(tmp_path)

    migrator(tmp_path).migrate()

    place = tmp_path / ".orchestrator/secrets/legacy-w/.secrets.enc"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700


def test_everything_made_is_private_and_kept_out_of_git(repository: Path, git: GitCall) -> None:
    plain(repository)

    migrator(repository).migrate()

    assert (
        git(repository, "status", "--porcelain", "--", ".orchestrator/checkpoints", ".orchestrator/secrets")
        == ""
    )
    assert stat.S_IMODE((repository / ".orchestrator").stat().st_mode) == 0o700


def test_a_database_moves_with_its_log_and_a_checked_copy_is_made(tmp_path: Path) -> None:
    w(tmp_path)
    assert os.path.exists(tmp_path / ".workflow_approvals.db-wal")
    log = (tmp_path / ".workflow_approvals.db-wal").read_bytes()

    record = migrator(tmp_path).migrate().record

    assert record is not None
    assert (record.originals / ".workflow_approvals.db-wal").read_bytes() == log
    assert rows(tmp_path / ".orchestrator/artifacts/legacy-w/approvals.db") == 1
    assert rows(record.originals / ".workflow_approvals.db") == 1


def test_a_database_cut_off_in_a_transaction_moves_with_its_journal_and_back(tmp_path: Path) -> None:
    put(tmp_path / ".orch_secrets", mode=0o600)
    child = os.fork()
    if child == 0:
        connection = sqlite3.connect(database(tmp_path / "orchestrator.db"))
        connection.execute("pragma cache_size = 1")
        for number in range(200):
            connection.execute("insert into approvals values(?, ?)", (number, "y" * 3000))
        os._exit(0)
    os.waitpid(child, 0)
    before = snapshot(tmp_path)
    assert os.stat(tmp_path / "orchestrator.db-journal").st_size

    record = migrator(tmp_path).migrate().record

    assert record is not None
    for name in ("orchestrator.db", "orchestrator.db-journal"):
        assert snapshot(record.originals)[name] == before[name]
    migrator(tmp_path).take_back()
    assert snapshot(tmp_path) == before
    assert rows(tmp_path / "orchestrator.db") == 1


def test_a_database_that_is_open_elsewhere_is_not_moved(tmp_path: Path) -> None:
    put(tmp_path / ".orch_secrets")
    database(tmp_path / "orchestrator.db", wal=True)
    with held_open(tmp_path / "orchestrator.db", "select * from approvals"):
        error = refusal(tmp_path)

    assert isinstance(error, Locked)
    assert "orchestrator.db" in error.message


def test_a_transaction_in_a_database_without_a_log_keeps_it_in_place(tmp_path: Path) -> None:
    database(tmp_path / "orchestrator.db")
    put(tmp_path / ".orch_secrets")
    with held_open(tmp_path / "orchestrator.db", "begin immediate"):
        error = refusal(tmp_path)

    assert isinstance(error, Locked)


def test_a_living_run_is_named_and_nothing_moves(tmp_path: Path) -> None:
    w_inside(tmp_path)
    locks = tmp_path / ".orchestrator/locks"
    locks.mkdir()
    with FileLock(locks / "run-r7.lock", "Run r7", "orchestrator run"):
        error = refusal(tmp_path)

    assert isinstance(error, Locked)
    assert "r7" in error.message


def test_of_two_migrations_at_once_exactly_one_does_the_work(tmp_path: Path) -> None:
    w(tmp_path)
    did: list[str] = []

    def work() -> None:
        try:
            did.append(migrator(tmp_path).migrate().did)
        except Locked:
            did.append("locked")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert did.count("migrated") == 1
    assert set(did) <= {"migrated", "nothing", "locked"}
    assert len(os.listdir(tmp_path / ".orchestrator/migrations")) == 1


def test_old_and_new_that_are_equal_keep_the_new_and_quarantine_the_old(tmp_path: Path) -> None:
    plain(tmp_path)
    shutil.copytree(tmp_path / "checkpoints", tmp_path / ".orchestrator/checkpoints")
    inode = os.stat(tmp_path / ".orchestrator/checkpoints/run-0/cp-0.json").st_ino

    record = migrator(tmp_path).migrate().record

    assert record is not None
    assert os.stat(tmp_path / ".orchestrator/checkpoints/run-0/cp-0.json").st_ino == inode
    assert (tmp_path / f".orchestrator/quarantine/{record.plan.id}/checkpoints/run-0/cp-0.json").is_file()
    assert not (tmp_path / "checkpoints").exists()


def test_old_and_new_that_differ_stop_it_and_both_are_named(tmp_path: Path) -> None:
    plain(tmp_path)
    put(tmp_path / ".orchestrator/checkpoints/run-0/cp-0.json", b"other\n")

    error = refusal(tmp_path)

    assert isinstance(error, MigrationConflict)
    assert error.exit_status == 3
    assert "checkpoints/run-0/cp-0.json" in error.problems[0]
    assert "--prefer" in error.hint


@pytest.mark.parametrize(
    ("prefer", "kept", "other"), [("old", b"{}" * 30, b"other\n"), ("new", b"other\n", b"{}" * 30)]
)
def test_the_preferred_one_stays_and_the_other_goes_to_quarantine(
    tmp_path: Path, prefer: str, kept: bytes, other: bytes
) -> None:
    plain(tmp_path)
    new = put(tmp_path / ".orchestrator/checkpoints/run-0/cp-0.json", b"other\n")
    before = snapshot(tmp_path, skip=(".orchestrator/migrations", ".orchestrator/locks"))

    record = migrator(tmp_path).migrate(Options.model_validate({"prefer": prefer})).record

    assert record is not None
    assert new.read_bytes() == kept
    quarantine = tmp_path / f".orchestrator/quarantine/{record.plan.id}"
    assert other in [path.read_bytes() for path in quarantine.rglob("cp-0.json")]
    assert len(list((tmp_path / ".orchestrator/checkpoints").rglob("*.json"))) == 6
    migrator(tmp_path).take_back()
    assert snapshot(tmp_path, skip=(".orchestrator/migrations", ".orchestrator/locks")) == before


def test_what_was_moved_by_hand_is_completed_and_told(tmp_path: Path) -> None:
    plain(tmp_path)
    os.makedirs(tmp_path / ".orchestrator/checkpoints")
    os.rename(tmp_path / "checkpoints/run-1", tmp_path / ".orchestrator/checkpoints/run-1")

    outcome = migrator(tmp_path).migrate()

    assert sorted(os.listdir(tmp_path / ".orchestrator/checkpoints")) == ["run-0", "run-1", "run-2"]
    assert outcome.plan is not None
    reasons = {action.source: action.reason for action in outcome.plan.actions}
    assert "partly there already" in reasons["checkpoints"]


def test_a_hand_moved_database_in_the_place_of_ours_is_put_aside(tmp_path: Path) -> None:
    plain(tmp_path)
    (tmp_path / ".orchestrator").mkdir()
    os.rename(tmp_path / "orchestrator.db", tmp_path / ".orchestrator/state.db")

    record = migrator(tmp_path).migrate().record

    assert record is not None
    assert (record.originals / ".orchestrator/state.db").is_file()
    assert not (tmp_path / ".orchestrator/state.db").exists()
    assert (tmp_path / ".orchestrator/layout.json").is_file()


def test_a_database_of_ours_is_never_taken_for_an_old_one(tmp_path: Path) -> None:
    plain(tmp_path)
    migrator(tmp_path).migrate()
    database(tmp_path / ".orchestrator/state.db")
    put(tmp_path / ".orch_secrets", b"NEW=1\n", 0o600)
    os.rename(tmp_path / ".orchestrator/secrets", tmp_path / "elsewhere")

    migrator(tmp_path).migrate()

    assert rows(tmp_path / ".orchestrator/state.db") == 1


def test_a_link_in_the_place_of_our_directory_is_refused(tmp_path: Path) -> None:
    plain(tmp_path / "repo")
    put(tmp_path / "victim/authorized_keys")
    (tmp_path / "victim/locks").mkdir()
    (tmp_path / "repo/.orchestrator").symlink_to("../victim")
    before = snapshot(tmp_path / "victim")

    assert isinstance(refusal(tmp_path / "repo"), Refused)
    assert snapshot(tmp_path / "victim") == before


def test_a_file_in_the_place_of_our_directory_is_refused(tmp_path: Path) -> None:
    plain(tmp_path)
    put(tmp_path / ".orchestrator")

    assert refusal(tmp_path).code == "unsafe-directory"


def test_a_newer_layout_is_refused(tmp_path: Path) -> None:
    plain(tmp_path)
    put(tmp_path / ".orchestrator/layout.json", b'{"tool":"orchestrator","layout_version":2,"repo_id":"x"}')

    assert refusal(tmp_path).code == "layout-newer"


def test_a_link_to_the_outside_is_refused_and_one_to_the_inside_stays(tmp_path: Path) -> None:
    plain(tmp_path / "repo")
    os.rename(tmp_path / "repo/checkpoints", tmp_path / "repo/data")
    (tmp_path / "repo/checkpoints").symlink_to("data")
    os.rename(tmp_path / "repo/logs", tmp_path / "outside")
    (tmp_path / "repo/logs").symlink_to("../outside")

    assert refusal(tmp_path / "repo").code == "link-outside"
    (tmp_path / "repo/logs").unlink()
    migrator(tmp_path / "repo").migrate()

    assert (tmp_path / "repo/checkpoints").is_symlink()
    assert sorted(os.listdir(tmp_path / "repo/data")) == ["run-0", "run-1", "run-2"]


def test_all_troubles_are_told_at_once(tmp_path: Path) -> None:
    plain(tmp_path / "repo")
    shutil.move(tmp_path / "repo/logs", tmp_path / "outside")
    (tmp_path / "repo/logs").symlink_to("../outside")
    put(tmp_path / "repo/.orchestrator/manifests/x")

    error = refusal(tmp_path / "repo")

    assert isinstance(error, MigrationRefused)
    assert len(error.problems) == 2


def test_files_of_odd_kinds_and_modes_move_with_their_directory(tmp_path: Path) -> None:
    plain(tmp_path)
    os.mkfifo(tmp_path / "checkpoints/pipe")
    if os.geteuid() == 0 and sys.platform == "linux":
        os.mknod(tmp_path / "checkpoints/null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    (tmp_path / "checkpoints/loop").symlink_to("loop")
    os.chmod(tmp_path / "checkpoints/run-0/cp-0.json", 0)
    os.chmod(tmp_path / "checkpoints", 0o1777)
    os.chmod(tmp_path / "logs", 0o2770)
    put(tmp_path / "checkpoints/a\nb\x1b[31m")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "checkpoints/sock"))
    before = snapshot(tmp_path)

    migrator(tmp_path).migrate()

    moved = snapshot(tmp_path / ".orchestrator/checkpoints")
    assert moved == {
        k.removeprefix("checkpoints/"): v for k, v in before.items() if k.startswith("checkpoints/")
    }
    migrator(tmp_path).take_back()
    assert snapshot(tmp_path) == before


def test_a_tree_deeper_than_any_path_can_name_moves(tmp_path: Path) -> None:
    plain(tmp_path)
    here = os.getcwd()
    try:
        os.chdir(tmp_path / "checkpoints")
        for _ in range(25):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        os.symlink("nowhere", "link")
    finally:
        os.chdir(here)

    assert migrator(tmp_path).migrate().did == "migrated"
    assert migrator(tmp_path).take_back().did == "rolled-back"
    assert os.listdir(tmp_path / "checkpoints/run-0")


def test_tracked_files_are_refused_until_asked_for(repository: Path, git: GitCall) -> None:
    plain(repository)
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "state")

    assert refusal(repository).code == "tracked"


def test_tracked_files_move_in_the_index_and_back_to_its_very_bytes(repository: Path, git: GitCall) -> None:
    plain(repository)
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "state")
    put(repository / "app.py", b"print(2)\n")
    git(repository, "add", "app.py")
    index = (repository / ".git/index").read_bytes()
    head = git(repository, "rev-parse", "HEAD")

    migrator(repository).migrate(Options(tracked=True))

    staged = git(
        repository, "--no-optional-locks", "diff", "--cached", "--name-status", "-M", "HEAD"
    ).splitlines()
    assert "M\tapp.py" in staged
    assert "R100\tcheckpoints/run-0/cp-0.json\t.orchestrator/checkpoints/run-0/cp-0.json" in staged
    assert git(repository, "ls-files", "checkpoints", "logs", "orchestrator.db") == ""
    migrator(repository).take_back()
    assert (repository / ".git/index").read_bytes() == index
    assert git(repository, "rev-parse", "HEAD") == head
    assert not [name for name in os.listdir(repository / ".git") if "orchestrator" in name or "lock" in name]


def test_a_changed_index_is_taken_back_entry_by_entry(repository: Path, git: GitCall) -> None:
    plain(repository)
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "state")
    migrator(repository).migrate(Options(tracked=True))
    put(repository / "later.py")
    git(repository, "add", "later.py")

    migrator(repository).take_back()

    assert git(repository, "diff", "--cached", "--name-status", "HEAD") == "A\tlater.py"


def test_a_lock_that_git_left_stops_only_what_needs_the_index(repository: Path, git: GitCall) -> None:
    plain(repository)
    put(repository / ".git/index.lock", b"")

    assert migrator(repository).migrate().did == "migrated"
    assert (repository / ".git/index.lock").exists()
    migrator(repository).take_back()
    (repository / ".git/index.lock").unlink()
    git(repository, "add", "-A")
    put(repository / ".git/index.lock", b"")

    codes = [one.code for one in migrator(repository).preview(Options(tracked=True)).troubles]
    assert set(codes) == {"index-locked"}


def test_a_merge_in_progress_stops_it(repository: Path, git: GitCall) -> None:
    plain(repository)
    put(repository / ".git/MERGE_HEAD", git(repository, "rev-parse", "HEAD").encode() + b"\n")

    assert refusal(repository).code == "operation-in-progress"


def test_nothing_of_a_hostile_repository_runs(repository: Path, git: GitCall) -> None:
    plain(repository)
    put(repository / ".gitattributes", b"* filter=x\n")
    for key, value in (
        ("core.fsmonitor", "touch pwned"),
        ("core.hooksPath", ".evil"),
        ("filter.x.clean", "touch pwned; cat"),
    ):
        git(repository, "config", key, value)
    put(repository / ".evil/post-index-change", b"#!/bin/sh\ntouch pwned\n", 0o755)

    migrator(repository).migrate()
    migrator(repository).take_back()

    assert not list(repository.rglob("pwned"))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for chattr and mounts")
@pytest.mark.skipif(sys.platform != "linux", reason="chattr is Linux alone")
def test_an_immutable_file_and_a_mount_point_are_refused(tmp_path: Path) -> None:
    plain(tmp_path)
    if subprocess.run(["chattr", "+i", tmp_path / "orchestrator.db"], check=False).returncode:
        pytest.skip("this file system has no immutable files")
    try:
        assert refusal(tmp_path).code == "fixed-file"
    finally:
        subprocess.run(["chattr", "-i", tmp_path / "orchestrator.db"], check=True)
    subprocess.run(["mount", "--bind", tmp_path / "logs", tmp_path / "logs"], check=True)
    try:
        assert refusal(tmp_path).code == "mount-point"
    finally:
        subprocess.run(["umount", tmp_path / "logs"], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a full disk")
def test_a_full_disk_is_refused_before_anything_moves(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], check=True)
    try:
        plain(place)
        assert refusal(place).code == "migration-no-space"
    finally:
        subprocess.run(["umount", place], check=True)


def test_the_report_tells_secrets_by_name_alone(tmp_path: Path) -> None:
    w(tmp_path)
    put(tmp_path / ".secrets.enc", b"canary-4711")

    record = migrator(tmp_path).migrate().record

    assert record is not None
    for path in record.directory.glob("*.json*"):
        assert b"canary-4711" not in path.read_bytes()
    assert b".secrets.enc" in (record.directory / "report.json").read_bytes()


def test_nothing_is_left_under_temporary_names(tmp_path: Path) -> None:
    w(tmp_path)

    migrator(tmp_path).migrate()

    assert litter(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
@pytest.mark.parametrize("closed", ["", "checkpoints"])
def test_what_its_user_may_not_move_is_refused_before_the_first_move(fast: Path, closed: str) -> None:
    root = fast / "repo"
    plain(root)
    os.chmod(fast, 0o755)
    for here, directories, files in os.walk(root):
        for name in (".", *directories, *files):
            os.chown(os.path.join(here, name), 65534, 65534)
    os.chmod(root / closed, 0o555)
    before = snapshot(root)

    child = os.fork()
    if child == 0:
        os.setuid(65534)
        try:
            migrator(root).migrate()
        except MigrationRefused as error:
            os._exit(7 if error.code == "permission" else 8)
        os._exit(9)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert snapshot(root) == before
