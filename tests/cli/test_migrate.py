"""`migrate` as its users call it, on what workflow-orchestrator left."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.fs.lock import FileLock
from orchestrator.migrate import names_source
from orchestrator.migrate.known_names import any_found
from orchestrator.paths import OrchestratorPaths
from orchestrator.state.manager import StateManager
from orchestrator.takeover import naming
from tests.cli.conftest import ENTRY, Call, process
from tests.cli.test_on_a_terminal import on_terminal
from tests.conftest import GitCall
from tests.migrate.building import Facts, database, plain, snapshot
from tests.takeover import w_files

OURS = (".git", ".orchestrator/locks", ".orchestrator/migrations", ".orchestrator/state.db")


@pytest.fixture
def old(repository: Path) -> Path:
    """Returns a repository with state of W in its root, never initialised."""
    w_files.write_json(repository / ".workflow_state.json", w_files.a_state())
    w_files.write_lines(repository / ".workflow_log.jsonl", w_files.a_log())
    w_files.write_approvals(repository / ".workflow_approvals.db")
    return repository


def facts(root: Path) -> Facts:
    """Returns everything but what a rollback may leave, and the directory that holds that."""
    found = snapshot(root, skip=OURS)
    return {
        name: fact
        for name, fact in found.items()
        if name not in (".orchestrator",) and "state.db" not in name
    }


def in_place(root: Path) -> Facts:
    return {name: fact for name, fact in facts(root).items() if not name.startswith(".orchestrator/")}


def test_a_dry_run_shows_a_table_and_changes_nothing(old: Path, call: Call) -> None:
    before = snapshot(old)

    shown = call("migrate", "--dry-run", cwd=old)

    assert shown.status == 0
    assert shown.out.splitlines()[0].split()[:4] == ["FROM", "TO", "ACTION", "KIND"]
    assert ".workflow_state.json" in shown.out
    assert "one file system" in shown.out
    assert snapshot(old) == before


def test_a_file_with_holes_is_told_with_both_of_its_sizes(old: Path, call: Call) -> None:
    with open(old / ".workflow_state.json.bak", "wb") as file:
        file.truncate(1 << 30)
    if os.stat(old / ".workflow_state.json.bak").st_blocks:
        pytest.skip("this file system makes no holes")

    shown = call("migrate", "--dry-run", cwd=old)

    assert re.search(r"files, 1,0\d\d,\d{3},\d{3} bytes \(\d{1,3},?\d{3} on the disk\)\n", shown.out), (
        shown.out
    )


def test_json_has_the_fields_of_the_contract(old: Path, call: Call) -> None:
    found = call("migrate", "--dry-run", "--json", cwd=old).json

    assert {"schema_version", "pending", "actions", "conflicts", "bytes_needed", "same_filesystem"} <= set(
        found
    )
    assert (found["schema_version"], found["pending"], found["conflicts"]) == (1, True, [])
    wanted = {
        "source",
        "target",
        "action",
        "kind",
        "files",
        "bytes",
        "mode",
        "tracked",
        "sensitive",
        "reason",
    }
    assert all(wanted <= set(action) for action in found["actions"])


def test_check_says_whether_there_is_something_to_do(old: Path, call: Call) -> None:
    assert call("migrate", "--check", cwd=old).status == 1

    assert call("migrate", cwd=old).status == 0

    assert call("migrate", "--check", cwd=old).status == 0


def test_a_rollback_of_nothing_says_so_when_it_is_only_shown(repository: Path, call: Call) -> None:
    answer = call("migrate", "--rollback", "--dry-run", cwd=repository)

    assert (answer.status, answer.out) == (0, "There is no migration to take back.\n")


def test_a_repository_without_old_state_is_left_as_it_is(repository: Path, call: Call) -> None:
    before = snapshot(repository)

    done = call("migrate", cwd=repository)

    assert (done.status, done.out) == (0, "Nothing to migrate.\n")
    assert snapshot(repository) == before


def test_migrating_initialises_takes_over_runs_and_a_second_time_does_nothing(old: Path, call: Call) -> None:
    first = call("migrate", "--json", cwd=old)
    second = call("migrate", "--json", cwd=old)

    assert (first.json["did"], second.json["did"]) == ("migrated", "nothing")
    assert w_files.RUN in first.json["takeovers"][0]["imported"]
    assert (old / ".orchestrator/layout.json").is_file()
    assert w_files.RUN in {run["id"] for run in call("status", "--json", cwd=old).json["runs"]}
    assert not (old / ".workflow_state.json").exists()


@pytest.mark.parametrize("words", [("migrate",), ("migrate", "--rollback", "--yes")])
def test_the_next_call_clears_what_a_killed_one_was_writing(
    old: Path, call: Call, words: tuple[str, ...]
) -> None:
    assert call("migrate", cwd=old).status == 0
    inside = old / ".orchestrator"
    (inside / ".tmp-orchestrator-0123456789abcdef").write_bytes(b"half")
    (inside / "tmp" / "takeover" / ".orchestrator").mkdir(parents=True)

    assert call(*words, cwd=old).status == 0

    assert [path.name for path in inside.rglob(".tmp-*")] == []
    assert not (inside / "tmp" / "takeover").exists()


def test_what_a_migration_put_in_place_is_no_orphan_to_doctor(old: Path, call: Call) -> None:
    (old / ".claude" / "prompts").mkdir(parents=True, exist_ok=True)
    (old / ".claude" / "prompts" / "a.md").write_text("x")
    assert call("migrate", cwd=old).status == 0
    assert (old / ".orchestrator" / "artifacts" / "legacy-w").is_dir()

    assert call("doctor", "--only", "layout-orphans", "--json", cwd=old).json["worst"] == "ok"


def test_rollback_shows_a_plan_asks_and_restores_every_bit(old: Path, call: Call) -> None:
    before = in_place(old)
    assert call("migrate", cwd=old).status == 0

    unasked = call("migrate", "--rollback", cwd=old)
    done = call("migrate", "--rollback", "--yes", cwd=old)
    again = call("migrate", "--rollback", "--yes", cwd=old)

    assert (unasked.status, done.status, again.status) == (2, 0, 0)
    assert "answer-needed" in unasked.err
    assert "put-back" in done.err
    assert in_place(old) == before


def test_rollback_leaves_nothing_where_nothing_was_and_nothing_was_done_since(old: Path, call: Call) -> None:
    before = snapshot(old)
    assert call("migrate", cwd=old).status == 0
    assert (old / ".orchestrator/state.db").is_file()

    done = call("migrate", "--rollback", "--yes", cwd=old)

    assert done.status == 0, done.err
    assert snapshot(old) == before


def test_rollback_keeps_a_database_in_which_something_was_done(old: Path, call: Call) -> None:
    before = in_place(old)
    assert call("migrate", cwd=old).status == 0
    assert call("run", "x", "--run-id", "mine", "--command", "true", "--trust", cwd=old).status == 0

    done = call("migrate", "--rollback", "--yes", cwd=old)

    assert done.status == 0, done.err
    assert in_place(old) == before
    assert "mine" in {run["id"] for run in call("status", "--json", cwd=old).json["runs"]}


def test_rollback_gives_back_a_directory_in_which_somebody_had_put_an_old_database(
    repository: Path, call: Call
) -> None:
    plain(repository)
    (repository / ".orchestrator").mkdir()
    (repository / "orchestrator.db").unlink()
    database(repository / ".orchestrator/state.db", wal=True)
    before = snapshot(repository, skip=(".orchestrator/migrations", ".orchestrator/locks"))
    for words in (("status",), ("doctor",), ("migrate", "--dry-run")):
        call(*words, cwd=repository)
        assert snapshot(repository) == before
    assert call("migrate", cwd=repository).status == 0

    done = call("migrate", "--rollback", "--yes", cwd=repository)

    assert done.status == 0, done.err
    assert snapshot(repository, skip=(".orchestrator/migrations", ".orchestrator/locks")) == before


def test_an_empty_directory_can_be_initialised_after_a_rollback_as_before(old: Path, call: Call) -> None:
    (old / ".orchestrator").mkdir()
    assert call("migrate", cwd=old).status == 0
    assert call("migrate", "--rollback", "--yes", cwd=old).status == 0
    left = sorted(os.listdir(old / ".orchestrator"))

    done = call("init", cwd=old)

    assert left == ["locks", "migrations"]
    assert done.status == 0, done.err


def test_a_migration_is_an_operation_and_undo_takes_it_back(old: Path, call: Call) -> None:
    before = in_place(old)
    assert call("migrate", cwd=old).status == 0
    listed = call("ops", "--json", cwd=old).json["operations"]

    undone = call("undo", "--yes", cwd=old)

    assert [(one["kind"], one["status"]) for one in listed] == [("migrate", "done")]
    assert undone.status == 0, undone.err
    assert in_place(old) == before


def test_a_plan_from_a_file_is_applied_exactly_or_not_at_all(old: Path, call: Call, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    assert call("migrate", "--dry-run", "--plan-out", str(plan), cwd=old).status == 0
    log = old / ".workflow_log.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole + b"{}\n")
    changed = call("migrate", str(plan), cwd=old)
    assert call("migrate", "--dry-run", "--plan-out", str(plan), cwd=old).status == 0

    applied = call("migrate", str(plan), cwd=old)

    assert (changed.status, "tree-changed" in changed.err) == (2, True)
    assert applied.status == 0, applied.err
    assert not log.exists()


def test_a_conflict_ends_with_3_shows_both_and_prefer_decides(old: Path, call: Call) -> None:
    assert call("migrate", cwd=old).status == 0
    (old / ".claude/prompts").mkdir(parents=True)
    (old / ".claude/prompts/a.md").write_text("old\n")
    (old / ".wfo_logs").mkdir()
    there = old / ".orchestrator/artifacts/legacy-w/prompts"
    there.mkdir(parents=True)
    (there / "a.md").write_text("new\n")
    before = facts(old)

    shown = call("migrate", "--dry-run", cwd=old)
    checked = call("migrate", "--check", cwd=old)
    refused = call("migrate", cwd=old)
    between = facts(old)
    decided = call("migrate", "--prefer", "new", cwd=old)

    assert (shown.status, checked.status, refused.status) == (0, 1, 3)
    assert "conflict: .claude/prompts" in shown.out
    assert ".claude/prompts/a.md" in refused.err
    assert between == before
    assert decided.status == 0, decided.err
    assert (there / "a.md").read_text() == "new\n"
    assert [path.read_text() for path in (old / ".orchestrator/quarantine").rglob("a.md")] == ["old\n"]


def test_a_live_run_is_named_and_nothing_moves(old: Path, project: Path, call: Call) -> None:
    lock = old / ".orchestrator/locks/run-r1.lock"
    before = facts(old)

    with FileLock(lock, what="Run r1", command="orchestrator run"):
        refused = [call("migrate", *words, cwd=old) for words in ((), ("--rollback", "-y"), ("--resume",))]

    assert [one.status for one in refused] == [5, 5, 5]
    assert "r1" in refused[0].err
    assert facts(old) == before


def test_of_two_at_once_one_does_the_work(old: Path, home: Path) -> None:
    both = [
        subprocess.Popen(
            [sys.executable, "-c", ENTRY, "migrate", "--json"],
            cwd=old,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(2)
    ]
    said = [one.communicate(timeout=120)[0] for one in both]

    assert all(one.returncode in (0, 5) for one in both)
    assert [json.loads(text).get("did") for text in said].count("migrated") == 1


def test_it_works_while_configuration_and_database_cannot_be_read(
    old: Path, project: Path, call: Call
) -> None:
    config, database = old / ".orchestrator/workflow.yaml", old / ".orchestrator/state.db"
    sound = config.read_bytes()
    config.write_text("nonsense: [\n")
    database.write_bytes(b"no database " * 1000)

    moved = call("migrate", "--json", cwd=old)
    waiting = call("migrate", "--check", cwd=old)
    finalize = call("migrate", "--finalize", "--yes", cwd=old)
    config.write_bytes(sound)
    database.unlink()
    later = call("migrate", "--json", cwd=old)

    assert (moved.status, moved.json["did"]) == (0, "migrated"), moved.err
    assert moved.json["takeovers"][0]["deferred"]
    assert waiting.status == 1
    assert (finalize.status, "takeover-waiting" in finalize.err) == (2, True)
    assert w_files.RUN in later.json["takeovers"][0]["imported"]


def test_finalize_keeps_the_originals_in_git_and_ends_rollback(old: Path, call: Call) -> None:
    assert call("migrate", cwd=old).status == 0

    done = call("migrate", "--finalize", "--yes", "--json", cwd=old)
    back = call("migrate", "--rollback", "--yes", cwd=old)

    assert (done.status, done.json["files"] > 0) == (0, True)
    assert back.status in (0, 2)
    assert not (old / ".workflow_state.json").exists()


def test_reading_commands_answer_from_the_old_place_and_change_nothing(old: Path, call: Call) -> None:
    before = snapshot(old, skip=(".git",))

    status = call("status", "--json", cwd=old)
    log = call("log", w_files.RUN, cwd=old)
    report = call("report", w_files.RUN, cwd=old)

    assert w_files.RUN in {run["id"] for run in status.json["runs"]}
    assert (log.status, "Remember the milk" in log.out) == (0, True)
    assert report.out.startswith("# Teach app.py to say good")
    for answer in (status, log, report):
        assert answer.err == "Using legacy paths - migrate with: orchestrator migrate\n"
    assert snapshot(old, skip=(".git",)) == before


OLDER = naming.run_id("wf_0ld0ld00")
NOTICE = "Using legacy paths - migrate with: orchestrator migrate\n"


@pytest.mark.parametrize("run", [w_files.RUN, w_files.WORKFLOW])
def test_findings_in_the_old_place_are_the_checks_that_failed(old: Path, call: Call, run: str) -> None:
    before = snapshot(old, skip=(".git",))

    shown = call("findings", run, cwd=old)
    told = call("findings", run, "--json", cwd=old)

    assert (shown.status, shown.err) == (0, NOTICE)
    assert shown.out == "major  custom   tests fail [execute_tests]\n"
    assert (told.json["legacy"], [one["rule"] for one in told.json["findings"]]) == (True, ["execute_tests"])
    assert snapshot(old, skip=(".git",)) == before


@pytest.mark.parametrize("form", ["text", "json", "sarif", "junit", "github", "markdown"])
def test_findings_in_the_old_place_come_in_every_format_and_may_be_none(
    old: Path, call: Call, form: str
) -> None:
    some = call("findings", w_files.RUN, "--format", form, cwd=old)
    none = call("findings", OLDER, "--format", form, cwd=old)

    assert (some.status, none.status) == (0, 0), some.err + none.err
    assert "tests fail" in some.out
    assert "tests fail" not in none.out
    assert NOTICE in none.err


def test_a_check_that_passed_later_counts_as_resolved(old: Path, call: Call) -> None:
    passed = w_files.an_event(
        "verification_passed", "fine", item_id="execute_tests", timestamp="2026-01-08T00:00:00Z"
    )
    w_files.write_lines(old / ".workflow_log.jsonl", [*w_files.a_log(), passed])

    shown = call("findings", w_files.RUN, cwd=old)
    open_ones = call("findings", w_files.RUN, "--open", cwd=old)

    assert shown.out == "major  custom   tests fail [execute_tests] (resolved)\n"
    assert (open_ones.status, open_ones.out) == (0, "")


def test_checkpoints_in_the_old_place_are_listed_and_hold_no_files(old: Path, call: Call) -> None:
    w_files.write_json(old / ".workflow_checkpoints/cp_20260107_043001_bddea0.json", w_files.a_checkpoint())

    shown = call("checkpoints", w_files.RUN, cwd=old)
    told = call("checkpoints", w_files.RUN, "--json", cwd=old).json
    none = call("checkpoints", OLDER, cwd=old)

    assert shown.status == 0
    assert shown.out.splitlines()[1].split() == [
        "cp_20260107_043001_bddea0",
        "2026-01-07",
        "04:30:01",
        "Plan",
        "is",
        "ready",
    ]
    assert shown.err == NOTICE + "These checkpoints hold no files: there is nothing to restore from them.\n"
    assert told["legacy"] is True
    assert told["checkpoints"] == [
        {
            "id": "cp_20260107_043001_bddea0",
            "at": "2026-01-07T04:30:01.819856Z",
            "label": "Plan is ready",
            "files": False,
        }
    ]
    assert (none.status, none.out) == (0, "")


def test_a_diff_of_a_run_in_the_old_place_says_that_no_files_were_kept(old: Path, call: Call) -> None:
    refused = call("diff", w_files.RUN, cwd=old)

    assert (refused.status, refused.out) == (2, "")
    assert refused.err == (
        f"{NOTICE}error[legacy-without-files]: Run {w_files.RUN} is of an earlier orchestrator, which kept "
        "no files of its runs: there is nothing to compare.\n"
        "hint: Take over what it did keep: orchestrator migrate\n"
    )


def test_the_old_place_is_read_beside_our_own_state_and_knows_no_other_run(
    old: Path, project: Path, call: Call
) -> None:
    known = [call(word, w_files.RUN, cwd=old).status for word in ("findings", "checkpoints", "diff")]
    unknown = [call(word, "w-nothing", cwd=old) for word in ("findings", "checkpoints", "diff")]

    assert known == [0, 0, 2]
    assert [one.status for one in unknown] == [2, 2, 2]
    assert all("legacy" not in one.err for one in unknown)


def test_sessions_inside_a_directory_that_is_not_ours_are_read(repository: Path, call: Call) -> None:
    w_files.write_json(repository / ".orchestrator/sessions/ab12cd34/state.json", w_files.a_state())

    status = call("status", "--json", cwd=repository)
    report = call("report", w_files.RUN, cwd=repository)

    assert [run["id"] for run in status.json["runs"]] == [w_files.RUN]
    assert report.out.startswith("# Teach app.py to say good")


def test_a_linked_worktree_keeps_old_state_of_its_own_and_is_told_so(
    old: Path, call: Call, git: GitCall, tmp_path: Path
) -> None:
    linked = tmp_path / "linked"
    git(old, "worktree", "add", "-q", str(linked), "-b", "other")
    w_files.write_json(linked / ".workflow_state.json", w_files.a_state(workflow_id="wf_11111111"))
    (linked / ".workflow_tool_feedback.jsonl").write_text("{}\n")
    before = snapshot(linked)
    warning = (
        f"This worktree, {linked}, holds old state of its own, which stays: .workflow_state.json, "
        f".workflow_tool_feedback.jsonl. Only that of {old} is migrated."
    )

    shown = call("migrate", "--dry-run", cwd=linked)
    told = call("migrate", "--dry-run", "--json", cwd=linked).json["warnings"]
    elsewhere = call("migrate", "--dry-run", "--json", cwd=old).json["warnings"]
    moved = call("migrate", "--json", cwd=linked)
    again = call("migrate", cwd=linked)

    assert f"warning: {warning}\n" in shown.err
    assert (told, elsewhere) == ([warning], [])
    assert (moved.json["did"], moved.json["warnings"]) == ("migrated", [warning])
    assert (again.status, again.out, again.err) == (0, "Nothing to migrate.\n", f"warning: {warning}\n")
    assert snapshot(linked) == before
    assert not (old / ".workflow_state.json").exists()


def test_safe_moves_without_asking_and_says_how_to_take_it_back(old: Path, project: Path, call: Call) -> None:
    config = old / ".orchestrator/workflow.yaml"
    config.write_text("version: 1\nmigration: {auto: safe}\n")

    done = call("resolve", "nothing", "--note", "x", cwd=old)

    assert "orchestrator migrate --rollback m-" in done.err
    assert not (old / ".workflow_state.json").exists()


@pytest.mark.parametrize("auto", ["safe", "prompt", "off"])
def test_nothing_doubtful_moves_unasked(old: Path, project: Path, call: Call, auto: str) -> None:
    (old / ".orchestrator/workflow.yaml").write_text(f"version: 1\nmigration: {{auto: {auto}}}\n")
    (old / ".secrets.enc").write_bytes(b"secret")
    os.chmod(old / ".secrets.enc", 0o600)

    done = call("resolve", "nothing", "--note", "x", cwd=old)

    assert ("legacy paths" in done.err) is (auto != "off")
    assert (old / ".workflow_state.json").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("--rollback", "--resume"),
        ("--resume", "--dry-run"),
        ("--force",),
        ("--prefer", "both"),
        ("--only", "nothing"),
        ("missing.json",),
        ("x.json", "--dry-run"),
    ],
)
def test_what_makes_no_sense_is_refused(old: Path, call: Call, words: tuple[str, ...]) -> None:
    assert call("migrate", *words, cwd=old).status == 2


def test_a_workflow_yaml_of_w_in_the_root_does_not_stand_in_the_way(old: Path, call: Call) -> None:
    (old / "workflow.yaml").write_text('name: Development\nversion: "2.1"\nphases: [{id: PLAN}]\n')

    done = call("migrate", "--json", cwd=old)

    assert w_files.RUN in done.json["takeovers"][0]["imported"], done.out
    assert call("config", "validate", cwd=old).status == 0


def test_doctor_names_old_state_and_the_date_until_which_it_is_read(old: Path, call: Call) -> None:
    checks = {each["id"]: each for each in call("doctor", "--json", cwd=old).json["checks"]}

    assert checks["legacy-state"]["remedy"] == "orchestrator migrate"
    assert any("not before 20" in line for line in checks["legacy-uses"]["evidence"])


def test_the_table_of_names_is_the_one_the_catalogue_gives(tmp_path: Path) -> None:
    assert names_source.TARGET.read_text() == names_source.source()
    assert not any_found(str(tmp_path))


def test_a_real_process_migrates_and_takes_it_back(old: Path, home: Path) -> None:
    before = in_place(old)

    done = process("migrate", cwd=old)
    with StateManager.open_read_only(OrchestratorPaths(old)) as state:
        runs = state.list_runs()
    back = process("migrate", "--rollback", "-y", cwd=old)

    assert (done.status, back.status) == (0, 0), done.err + back.err
    assert w_files.RUN in {run.id for run in runs}
    assert in_place(old) == before


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo terminals")
def test_the_first_writing_command_asks_once_on_a_terminal_and_a_no_is_kept(old: Path, project: Path) -> None:
    words = ("resolve", "nothing", "--note", "x")

    declined = on_terminal(*words, cwd=old, answers="n\n")
    again = on_terminal(*words, cwd=old)
    (old / ".orchestrator/logs/migration-declined").unlink()
    agreed = on_terminal(*words, cwd=old, answers="y\n")

    assert "[y/N]" in declined.out
    assert "⚡ Using legacy paths — migrate with: orchestrator migrate" in again.out
    assert "[y/N]" not in again.out
    assert "orchestrator migrate --rollback m-" in agreed.out
    assert not (old / ".workflow_state.json").exists()


def test_without_a_commit_files_move_and_an_open_run_becomes_history_that_cannot_be_gone_on_with(
    tmp_path: Path, git: GitCall, call: Call
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q", "-b", "main")
    w_files.write_json(empty / ".workflow_state.json", w_files.a_state())
    before = snapshot(empty)

    done = call("migrate", "--json", cwd=empty)
    runs = {run["id"]: run for run in call("status", "--json", cwd=empty).json["runs"]}
    resumed = call("resume", w_files.RUN, cwd=empty)

    assert (done.status, done.json["takeovers"][0]["imported"]) == (0, [w_files.RUN])
    assert runs[w_files.RUN]["status"] == "cancelled"
    assert (resumed.status, "run-cancelled" in resumed.err) == (2, True), resumed.err
    assert call("migrate", "--rollback", "--yes", cwd=empty).status == 0
    assert snapshot(empty) == before


def test_a_detached_head_stays_detached_and_the_run_is_based_on_its_commit(
    old: Path, git: GitCall, call: Call
) -> None:
    git(old, "checkout", "-q", "--detach")
    head, before = git(old, "rev-parse", "HEAD"), snapshot(old)

    done = call("migrate", "--json", cwd=old)
    runs = {run["id"]: run for run in call("status", "--json", cwd=old).json["runs"]}

    assert (done.status, w_files.RUN in done.json["takeovers"][0]["imported"]) == (0, True)
    assert runs[w_files.RUN]["base"] == head
    assert (old / ".git/HEAD").read_text() == f"{head}\n"
    assert call("migrate", "--rollback", "--yes", cwd=old).status == 0
    assert snapshot(old) == before
