from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.config.trust import user_trust_directory
from orchestrator.doctor.checks.storage import mount_of
from orchestrator.doctor.context import Context
from orchestrator.doctor.diagnosis import Status
from orchestrator.doctor.footprint import footprint, measure
from orchestrator.fs.lock import DirectoryLock, FileLock
from orchestrator.model.ids import RunId
from orchestrator.model.record import OperationKind
from orchestrator.paths import OrchestratorPaths
from tests.conftest import GitCall
from tests.doctor.conftest import APPEND, Ask, front
from tests.engine.scene import Scene

OK, WARN, FAIL, SKIP = Status.OK, Status.WARN, Status.FAIL, Status.SKIP
RUN = RunId("run-1")


def rewritten(path: Path, *statements: str) -> None:
    """Changes a database behind the back of everybody."""
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


# repository


def test_a_directory_without_a_repository_fails_the_first_check_alone(
    tmp_path: Path, ask: Ask, home: Path
) -> None:
    place = tmp_path / "plain"
    place.mkdir()

    assert ask("repository-root", place=place).status is FAIL
    assert ask("layout-ownership", place=place).status is SKIP
    assert front(place).status == 1


def test_a_repository_without_commit_can_start_no_run(tmp_path: Path, git: GitCall, ask: Ask) -> None:
    place = tmp_path / "empty"
    place.mkdir()
    git(place, "init", "-q")

    assert ask("repository-first-commit", place=place).status is WARN
    assert ask("repository-secrets", place=place).status is SKIP


def test_a_detached_head_is_named(repository: Path, git: GitCall, ask: Ask) -> None:
    git(repository, "checkout", "-q", "--detach")

    assert "detached" in ask("repository-first-commit").summary


@pytest.mark.parametrize(
    ("entry", "word"), [("MERGE_HEAD", "merge"), ("rebase-merge", "rebase"), ("BISECT_LOG", "bisect")]
)
def test_a_half_done_operation_is_named(repository: Path, ask: Ask, entry: str, word: str) -> None:
    (repository / ".git" / entry).write_text("x")

    found = ask("repository-operation")

    assert (found.status, word in found.summary, word in found.remedy) == (WARN, True, True)


def test_shallow_partial_and_sparse_checkouts_are_told(repository: Path, git: GitCall, ask: Ask) -> None:
    assert ask("repository-history").evidence == ()
    (repository / ".git" / "shallow").write_text(git(repository, "rev-parse", "HEAD") + "\n")
    git(repository, "config", "remote.origin.promisor", "true")
    git(repository, "config", "core.sparseCheckout", "true")

    assert len(ask("repository-history").evidence) == 3


def test_repositories_inside_are_named(repository: Path, git: GitCall, ask: Ask) -> None:
    (repository / "inner").mkdir()
    git(repository / "inner", "init", "-q")
    (repository / ".gitmodules").write_text("")

    assert len(ask("repository-inside").evidence) == 2


def test_a_secret_in_a_tracked_file_is_shown_by_place_and_never_by_value(
    repository: Path, git: GitCall, ask: Ask
) -> None:
    secret = "sk-" + "proj-" + "0123456789abcdef" * 3
    (repository / "odd: name.yaml").write_text(f"a: 1\napi_key: {secret}\n")
    assert ask("repository-secrets").status is OK
    git(repository, "add", "-A")

    found = ask("repository-secrets")

    assert found.status is WARN
    assert found.evidence == ("odd: name.yaml:2",)
    assert secret not in repr(found)


# layout


def test_a_foreign_directory_fails_and_names_what_is_in_it(repository: Path, ask: Ask) -> None:
    (repository / ".orchestrator").mkdir()
    (repository / ".orchestrator" / "VERSION").write_text("999\n")

    found = ask("layout-ownership")

    assert (found.status, found.evidence) == (FAIL, ("VERSION",))


def test_a_directory_of_an_earlier_orchestrator_names_migrate(repository: Path, ask: Ask) -> None:
    (repository / ".orchestrator").mkdir()
    (repository / ".orchestrator" / "audit.jsonl").write_text("{}\n")

    found = ask("layout-ownership")

    assert (found.status, found.remedy) == (FAIL, "orchestrator migrate")


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_link_or_a_file_in_its_place_fails(repository: Path, tmp_path: Path, ask: Ask, kind: str) -> None:
    place = repository / ".orchestrator"
    if kind == "link":
        place.symlink_to(tmp_path)
    else:
        place.write_text("a file")

    assert ask("layout-ownership").status is FAIL
    assert ask("layout-complete").status is SKIP


def test_a_clone_with_committed_configuration_is_told_to_be_initialised(repository: Path, ask: Ask) -> None:
    (repository / ".orchestrator").mkdir()
    (repository / ".orchestrator" / "workflow.yaml").write_text("version: 1\n")

    assert ask("layout-ownership").remedy == "orchestrator init"


def test_a_lost_or_torn_directory_is_to_be_recovered(finished: Scene, ask: Ask) -> None:
    layout = OrchestratorPaths(finished.root).layout_file
    layout.write_text("{")
    assert ask("layout-ownership").remedy == "orchestrator doctor --recover"
    shutil.rmtree(finished.root / ".orchestrator")

    found = ask("layout-ownership")

    assert (found.status, found.remedy) == (FAIL, "orchestrator doctor --recover")
    assert front(finished.root).status == 1


def test_an_ignore_file_that_lets_state_through_fails(finished: Scene, ask: Ask) -> None:
    OrchestratorPaths(finished.root).ignore_file.write_text("!*\n")

    assert ask("layout-ignored").status is FAIL


def test_a_rule_that_hides_the_shared_configuration_is_named(finished: Scene, ask: Ask) -> None:
    assert ask("layout-shared").status is OK
    with open(finished.root / ".git" / "info" / "exclude", "a") as file:
        file.write(".*\n")

    found = ask("layout-shared")

    assert found.status is WARN
    assert found.evidence[0].endswith(": .*")


def test_a_private_layout_shares_nothing_on_purpose(repository: Path, ask: Ask) -> None:
    assert ask("layout-shared").status is SKIP
    assert front(repository, "--private", command="init").status == 0

    assert "private" in ask("layout-shared").summary


def test_state_that_git_tracks_fails(finished: Scene, git: GitCall, ask: Ask) -> None:
    git(finished.root, "add", "-f", ".orchestrator/logs", ".orchestrator/workflow.yaml")
    (finished.root / ".orchestrator/logs/x.log").write_text("x")
    git(finished.root, "add", "-f", ".orchestrator/logs/x.log")

    found = ask("layout-tracked")

    assert found.status is FAIL
    assert found.remedy == "git rm -r --cached -- .orchestrator/logs"


def test_unknown_things_in_it_are_named(finished: Scene, ask: Ask) -> None:
    (finished.root / ".orchestrator" / "orchestrator-old.db").write_text("x")

    assert ask("layout-unknown").evidence == ("orchestrator-old.db",)


def test_a_copied_and_a_moved_repository_are_told_apart(finished: Scene, tmp_path: Path, ask: Ask) -> None:
    assert ask("layout-place").status is OK
    shutil.copytree(finished.root, tmp_path / "copy", symlinks=True)
    finished.root.rename(tmp_path / "moved")

    assert ask("layout-place", place=tmp_path / "copy").status is WARN
    assert "moved here" in ask("layout-place", place=tmp_path / "moved").summary
    (tmp_path / "moved/.orchestrator/place.json").write_text("[]")
    assert ask("layout-place", place=tmp_path / "moved").status is WARN
    (tmp_path / "moved/.orchestrator/place.json").unlink()
    assert ask("layout-place", place=tmp_path / "moved").status is SKIP


def test_files_of_unknown_runs_are_named(finished: Scene, ask: Ask) -> None:
    (finished.root / ".orchestrator/artifacts/run-9").mkdir()

    [found] = ask("layout-orphans").evidence

    assert found.endswith("artifacts/run-9")


# git


def test_an_old_or_strange_git_fails(repository: Path, tmp_path: Path, ask: Ask) -> None:
    assert ask("git-version").status is OK
    place = tmp_path / "bin"
    place.mkdir()
    before = os.environ["PATH"]
    for said in ("git version 2.30.1", "nonsense"):
        (place / "git").write_text(f"#!/bin/sh\necho {said}\n")
        (place / "git").chmod(0o755)
        os.environ["PATH"] = f"{place}{os.pathsep}{before}"
        try:
            assert ask("git-version").status is FAIL
        finally:
            os.environ["PATH"] = before


def test_without_git_only_what_needs_it_is_skipped(
    repository: Path, tmp_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert ask("git-version").status is FAIL
    assert ask("git-identity").status is SKIP
    assert ask("disk-space").status in (OK, WARN, FAIL)


def test_locks_of_others_are_named_with_the_command_and_never_removed(repository: Path, ask: Ask) -> None:
    lock = repository / ".git" / "packed-refs.lock"
    lock.write_bytes(b"")

    assert str(lock) in ask("git-ref-locks").remedy
    front(repository, "--fix")
    assert lock.exists()


def test_runs_that_only_the_refs_know_are_to_be_recovered(finished: Scene, git: GitCall, ask: Ask) -> None:
    git(finished.root, "update-ref", "refs/orchestrator/runs/run-2", "refs/orchestrator/runs/run-1")

    found = ask("git-run-refs")

    assert (found.status, found.evidence) == (FAIL, ("run-2",))


def test_refs_that_nobody_knows_are_clutter(finished: Scene, git: GitCall, ask: Ask) -> None:
    git(finished.root, "update-ref", "refs/orchestrator/bases/run-2", "HEAD")

    assert ask("git-run-refs").status is WARN


def test_a_checkpoint_that_is_none_fails(finished: Scene, git: GitCall, ask: Ask) -> None:
    assert ask("git-checkpoints").status is OK
    git(finished.root, "update-ref", "refs/orchestrator/runs/run-2", "HEAD")

    [line] = ask("git-checkpoints").evidence

    assert line.startswith("refs/orchestrator/runs/run-2")


def test_working_files_of_a_merge_without_state_are_told(finished: Scene, ask: Ask) -> None:
    (finished.root / ".git" / "orchestrator-0123").mkdir()
    assert ask("git-scratch").remedy == "orchestrator doctor --fix"
    shutil.rmtree(finished.root / ".orchestrator")

    assert ask("git-scratch").remedy == "orchestrator doctor --recover"


def test_programs_of_the_local_configuration_are_named_and_not_run(
    repository: Path, tmp_path: Path, git: GitCall, ask: Ask
) -> None:
    git(repository, "config", "filter.x.clean", f"touch {tmp_path}/pwned; cat")
    git(repository, "config", "core.fsmonitor", f"touch {tmp_path}/pwned")
    hook = repository / ".git/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/pwned\n")
    hook.chmod(0o755)

    found = ask("git-local-programs")

    assert found.status is WARN
    assert set(found.evidence) == {"filter.x.clean", "core.fsmonitor", "hook post-checkout"}
    assert not (tmp_path / "pwned").exists()


def test_a_hook_alone_is_only_mentioned(repository: Path, ask: Ask) -> None:
    hook = repository / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)

    assert ask("git-local-programs").evidence == ("hook pre-commit",)


def test_a_missing_identity_is_told(repository: Path, home: Path, ask: Ask) -> None:
    assert "A User" in ask("git-identity").summary
    (home / ".gitconfig").write_text("")

    assert ask("git-identity").status is WARN


# state


def test_a_missing_database_fails_where_there_are_checkpoints(
    finished: Scene, git: GitCall, ask: Ask
) -> None:
    for path in (finished.root / ".orchestrator").glob("state.db*"):
        path.unlink()
    assert ask("state-database").status is FAIL
    git(finished.root, "update-ref", "-d", "refs/orchestrator/runs/run-1")

    assert ask("state-database").status is OK


@pytest.mark.parametrize(
    ("statement", "status", "fixable"),
    [
        ("PRAGMA user_version = 99", FAIL, False),
        ("PRAGMA application_id = 7", FAIL, False),
        ("PRAGMA user_version = 0", WARN, True),
    ],
)
def test_a_database_of_another_version_or_program_is_told(
    finished: Scene, ask: Ask, statement: str, status: Status, fixable: bool
) -> None:
    rewritten(OrchestratorPaths(finished.root).state_file, statement)

    found = ask("state-database")

    assert (found.status, found.fixable) == (status, fixable)


def test_a_damaged_database_is_to_be_recovered_and_everything_else_still_answers(
    finished: Scene, ask: Ask
) -> None:
    for path in (finished.root / ".orchestrator").glob("state.db*"):
        path.write_bytes(b"no database at all" * 99)

    assert ask("state-database").remedy == "orchestrator doctor --recover"
    assert ask("state-events").status is SKIP
    assert ask("layout-ownership").status is OK
    assert front(finished.root, "--json").status == 1


def test_a_row_that_names_nothing_fails_the_integrity(finished: Scene, ask: Ask) -> None:
    rewritten(
        OrchestratorPaths(finished.root).state_file,
        "INSERT INTO artifacts VALUES ('a', 'no-such-run', NULL, 'n', 'p', 't', 0, 'h', '2026')",
    )

    assert ask("state-integrity").status is FAIL


def test_a_changed_event_breaks_the_chain(finished: Scene, ask: Ask) -> None:
    assert ask("state-events").status is OK
    rewritten(
        OrchestratorPaths(finished.root).state_file,
        "DROP TRIGGER events_are_never_changed",
        "UPDATE events SET data = '{}' WHERE seq = 2",
    )

    found = ask("state-events")

    assert (found.status, "event 2" in found.summary) == (FAIL, True)


def test_logs_of_sqlite_are_told(finished: Scene, ask: Ask) -> None:
    state = OrchestratorPaths(finished.root).state_file
    wal = Path(f"{state}-wal")
    wal.write_bytes(b"")
    assert ask("state-journal").status is OK
    wal.write_bytes(b"x" * 10)
    assert "is part of the database" in ask("state-journal").summary
    with open(wal, "wb") as file:
        file.truncate(100 << 20)
    assert ask("state-journal").status is WARN
    wal.unlink()
    Path(f"{state}-journal").write_bytes(b"x")

    assert ask("state-journal").status is WARN


def test_an_interrupted_run_is_told_with_the_command_that_goes_on(scene: Scene, ask: Ask) -> None:
    scene.start(run_id=RUN, command=scene.program("append", APPEND))

    assert ask("state-interrupted").remedy == "orchestrator resume run-1"
    with FileLock(OrchestratorPaths(scene.root).run_lock(RUN), what="run", command="test"):
        assert ask("state-interrupted").status is OK


def test_a_checkpoint_or_branch_that_is_gone_is_told(finished: Scene, git: GitCall, ask: Ask) -> None:
    assert ask("state-checkpoints").status is OK
    assert ask("state-branches").status is OK
    git(finished.root, "update-ref", "-d", "refs/orchestrator/runs/run-1")
    git(finished.root, "branch", "-q", "-D", "orchestrator/run-1")

    assert ask("state-checkpoints").status is FAIL
    assert ask("state-branches").status is WARN


def test_operations_that_were_not_finished_are_told(finished: Scene, ask: Ask) -> None:
    with finished.open() as workspace:
        workspace.state.begin_operation(OperationKind.MERGE, RUN, str(finished.root), {})

    [line] = ask("state-operations").evidence

    assert "merge of run-1" in line


def test_the_age_of_the_newest_backup_is_told(finished: Scene, ask: Ask) -> None:
    backup = OrchestratorPaths(finished.root).backups_dir / "state-20260101T000000.000000Z-v0001.db"
    backup.write_bytes(b"")
    os.utime(backup, (time.time() - 3 * 86400 - 60,) * 2)

    assert "3 days old" in ask("state-backup").summary


def test_a_run_from_the_future_tells_of_a_wrong_clock(finished: Scene, ask: Ask) -> None:
    assert ask("state-clock").status is OK
    rewritten(
        OrchestratorPaths(finished.root).state_file,
        "UPDATE runs SET created_at = '2999-01-01T00:00:00.000000Z'",
    )

    assert ask("state-clock").status is WARN


# processes and locks


def test_holders_of_locks_are_named(finished: Scene, ask: Ask) -> None:
    paths = OrchestratorPaths(finished.root)
    with (
        FileLock(paths.run_lock(RUN), what="run", command="orchestrator run"),
        DirectoryLock(
            finished.root / ".git", paths.locks_dir / "repository.lock", "it", "orchestrator merge"
        ),
    ):
        found = ask("locks-holders")

    assert found.status is OK
    assert [line.split(":")[0] for line in found.evidence] == ["run run-1", "this repository"]
    assert f"pid {os.getpid()}" in found.evidence[0]


def test_a_stopped_holder_is_named_with_the_command_that_wakes_it(finished: Scene, ask: Ask) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("this system has no /proc")
    path = OrchestratorPaths(finished.root).run_lock(RUN)
    code = (
        "import sys, time; from orchestrator.fs.lock import FileLock;"
        f"lock = FileLock({str(path)!r}, 'run', 'held'); lock.acquire();"
        "print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, holder.pid, os.WSTOPPED | os.WNOWAIT)

        assert ask("locks-holders").remedy == f"kill -CONT {holder.pid}"
    finally:
        holder.kill()
        holder.communicate()


def test_a_link_at_a_locks_name_fails_and_its_target_is_untouched(
    finished: Scene, tmp_path: Path, ask: Ask
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (finished.root / ".orchestrator/locks/run-evil.lock").symlink_to(victim)

    assert ask("locks-holders").status is FAIL
    assert victim.read_text() == "precious"


# permissions


@pytest.mark.parametrize(("mode", "status"), [(0o700, OK), (0o755, WARN), (0o777, FAIL)])
def test_the_mode_of_the_directory_is_judged(finished: Scene, ask: Ask, mode: int, status: Status) -> None:
    (finished.root / ".orchestrator").chmod(mode)

    assert ask("permissions-directory").status is status


def test_state_that_others_may_read_is_told(finished: Scene, ask: Ask) -> None:
    assert ask("permissions-files").status is OK
    OrchestratorPaths(finished.root).state_file.chmod(0o644)

    assert ask("permissions-files").status is WARN


def test_files_of_another_user_are_named(finished: Scene, ask: Ask) -> None:
    assert ask("permissions-owners").status is OK
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    os.chown(finished.root / ".orchestrator/logs", 65534, 65534)

    assert ask("permissions-owners").status is WARN


def test_a_place_that_cannot_be_written_is_named(finished: Scene, ask: Ask) -> None:
    assert ask("permissions-writable").status is OK
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    finished.root.chmod(0o555)
    try:
        assert ask("permissions-writable").status is WARN
    finally:
        finished.root.chmod(0o755)


# disk and file system


@pytest.mark.parametrize(
    ("check", "attribute", "values"),
    [
        ("disk-space", "bytes", {10 << 20: FAIL, 500 << 20: WARN, 50 << 30: OK}),
        ("disk-inodes", "inodes", {10: FAIL, 5000: WARN, 10**6: OK, None: OK}),
    ],
)
def test_little_room_warns_and_none_fails(
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    check: str,
    attribute: str,
    values: dict[int | None, Status],
) -> None:
    from orchestrator.doctor.quick import surroundings
    from orchestrator.fs.space import FreeSpace

    for value, status in values.items():
        free = FreeSpace(bytes=1 << 40, inodes=10**9)
        setattr(free, attribute, value)
        # patched: a disk as full or as empty as the test needs it cannot be had
        monkeypatch.setattr(surroundings, "free_space", lambda path, free=free: free)

        assert ask(check).status is status


def test_what_it_holds_is_measured(finished: Scene, ask: Ask) -> None:
    (finished.root / ".orchestrator/artifacts/big").write_bytes(b"x" * 3_000_000)

    assert ask("disk-usage").evidence[0].startswith("artifacts: 2.9 MiB")


def test_the_file_system_is_known_on_linux(repository: Path, ask: Ask) -> None:
    if not Path("/proc/self/mountinfo").exists():
        pytest.skip("this system does not tell")
    assert mount_of("/proc") == ("/proc", "proc", False)
    assert ask("file-system-kind").status in (OK, WARN)


@pytest.mark.parametrize(
    ("mount", "status"),
    [
        (("/", "nfs4", False), WARN),
        (("/", "vfat", False), WARN),
        (("/", "ext4", True), WARN),
        (("/r/.orchestrator", "tmpfs", False), WARN),
        (("/", "tmpfs", False), OK),
        (("/", "ext4", False), OK),
        (None, SKIP),
    ],
)
def test_kinds_of_file_systems_are_judged(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, mount: tuple[str, str, bool] | None, status: Status
) -> None:
    from orchestrator.doctor.checks import storage

    # patched: such file systems cannot be mounted in a test
    monkeypatch.setattr(storage, "mount_of", lambda path: mount)

    assert ask("file-system-kind").status is status


def test_a_twin_that_differs_in_case_is_told(repository: Path, ask: Ask) -> None:
    assert ask("file-system-locks").status is OK
    if (repository / "APP.PY").exists():
        assert ask("file-system-case").status is WARN
        return
    assert ask("file-system-case").status is OK
    (repository / ".Orchestrator").mkdir()

    assert ask("file-system-case").status is WARN


# surroundings


def test_variables_that_lead_git_elsewhere_are_named(ask: Ask) -> None:
    assert ask("environment-git").status is OK

    assert ask("environment-git", GIT_DIR="/elsewhere").remedy == "unset GIT_DIR"


def test_variables_of_ours_are_named(repository: Path, ask: Ask) -> None:
    assert ask("environment-own").evidence == ()
    assert ask("environment-own", ORCHESTRATOR_DIR=str(repository)).evidence == (str(repository),)

    assert ask("environment-own", ORCHESTRATOR_EXECUTION="x").status is WARN


def test_an_open_umask_is_told(ask: Ask) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("this system does not tell")
    before = os.umask(0o022)
    try:
        assert ask("environment-umask").status is OK
        os.umask(0o000)
        assert ask("environment-umask").status is WARN
    finally:
        os.umask(before)


def test_python_is_named(ask: Ask) -> None:
    assert ask("environment-python").evidence == (sys.executable,)


def test_agents_on_path_are_found_and_not_started(tmp_path: Path, ask: Ask) -> None:
    place = tmp_path / "bin"
    place.mkdir()
    assert ask("agents-on-path", PATH=str(place)).status is WARN
    (place / "codex").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    (place / "codex").chmod(0o755)

    assert ask("agents-on-path", PATH=str(place)).evidence == (f"codex: {place}/codex",)
    assert not (tmp_path / "started").exists()


def test_a_configured_agent_without_its_program_is_named(scene: Scene, ask: Ask) -> None:
    assert ask("agents-configured").status is OK
    scene.configure("agents: {fixer: {kind: command, command: [no-such-program]}}")

    assert ask("agents-configured").evidence == ("fixer: no-such-program",)


# configuration and trust


def test_every_problem_of_the_configuration_is_shown(scene: Scene, ask: Ask) -> None:
    scene.configure("verfy: {}\nthresholds: {max_major: many}\n")

    found = ask("configuration-valid")

    assert found.status is FAIL
    assert len(found.evidence) == 2
    assert ask("trust-repository").status is SKIP
    assert ask("version-pin").status is SKIP


def test_a_version_pin_that_does_not_fit_fails_by_itself(scene: Scene, ask: Ask) -> None:
    assert "No version is required" in ask("version-pin").summary
    OrchestratorPaths(scene.root).config_file.write_text('version: 1\nrequired-version: ">=0.1"\n')
    assert ask("version-pin").status is OK
    OrchestratorPaths(scene.root).config_file.write_text('version: 1\nrequired-version: ">=99"\n')

    assert ask("version-pin").status is FAIL
    assert ask("configuration-valid").status is SKIP


def test_a_configuration_in_the_root_is_remarked(repository: Path, ask: Ask) -> None:
    (repository / "workflow.yaml").write_text("version: 1\n")

    assert ask("configuration-valid").status is WARN


def test_missing_checks_and_approval_are_told(scene: Scene, ask: Ask) -> None:
    assert ask("configuration-checks").status is WARN
    assert ask("trust-repository").status is OK
    scene.configure("verify: {test: [{run: [make, test]}]}\n")

    assert ask("configuration-checks").status is OK
    assert ask("trust-repository").remedy == "orchestrator trust"
    assert front(scene.root, "--yes", command="trust").status == 0
    assert ask("trust-repository").status is OK


def test_an_unsafe_place_of_approvals_fails(home: Path, ask: Ask) -> None:
    assert ask("trust-store").status is OK
    user_trust_directory().mkdir(parents=True)
    user_trust_directory().chmod(0o777)

    assert ask("trust-store").status is FAIL


# footprint


def test_the_footprint_lists_everything_that_was_written(finished: Scene, home: Path, git: GitCall) -> None:
    finished.configure("verify: {test: [{run: [make, test]}]}\n")
    assert front(finished.root, "--yes", command="trust").status == 0
    context = Context(str(finished.root), dict(os.environ))

    found = footprint(context)

    context.close()
    entries = {path.name for path in (finished.root / ".orchestrator").iterdir()}
    assert {kind.name for kind in found.kinds} == entries
    refs = git(finished.root, "for-each-ref", "--format=%(refname)").split("\n")
    assert {name for name, _ in found.refs} == {name for name in refs if "orchestrator" in name}
    assert found.objects > 3
    assert found.object_bytes > 0
    outside = {path for path in home.rglob("*") if path.is_file() and path.name != ".gitconfig"}
    assert outside <= {Path(path) for path in found.outside}


def test_the_footprint_is_printed_and_told_as_json(finished: Scene) -> None:
    said = front(finished.root, "--footprint")
    told = json.loads(front(finished.root, "--footprint", "--json").out)

    assert "refs/orchestrator/runs/run-1" in said.out
    assert [branch["name"] for branch in told["branches"]] == ["refs/heads/orchestrator/run-1"]
    assert {kind["name"] for kind in told["kinds"]} >= {"state.db", "layout.json"}
    assert len(told["user_directories"]) == 3


def test_without_anything_written_the_footprint_is_empty(repository: Path) -> None:
    told = json.loads(front(repository, "--footprint", "--json").out)

    assert (told["kinds"], told["refs"], told["branches"], told["objects"]) == ([], [], [], 0)
    assert "(nothing)" in front(repository, "--footprint").out


def test_trees_elsewhere_and_links_are_measured_without_being_followed(
    finished: Scene, tmp_path: Path
) -> None:
    place = tmp_path / "trees"
    place.mkdir()
    (place / "run-1").mkdir()
    (place / "run-1" / "link").symlink_to(finished.root)
    (place / "run-1" / "file").write_text("12345")
    finished.configure(f"worktrees: {{root: {place}}}\n")

    told = json.loads(front(finished.root, "--footprint", "--json").out)

    assert told["trees_elsewhere"] == [{"name": "run-1", "files": 2, "bytes": 5}]
    (tmp_path / "dangling").symlink_to(place)
    assert measure(tmp_path / "dangling") == ()
