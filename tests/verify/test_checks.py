from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.model.finding import Category, Severity
from orchestrator.process import leftovers
from orchestrator.repo.trees import IsolatedTrees
from orchestrator.verify.checks import (
    CheckEvent,
    CheckFinished,
    CheckStarted,
    ProcessStarted,
    SetupStarted,
    check_tree,
    configured_checks,
)
from orchestrator.verify.clean import discard
from orchestrator.verify.outcome import CheckReport, CheckStatus
from tests.conftest import GitCall
from tests.verify.conftest import MARK, RequestFor, python


def statuses(report: CheckReport) -> list[tuple[str, str]]:
    return [(outcome.check.name, outcome.status.value) for outcome in report.outcomes]


def test_checks_run_in_a_tree_with_exactly_the_files_of_the_hash(
    request_for: RequestFor, repository: Path
) -> None:
    (repository / "app.py").write_text("changed by the user\n")
    (repository / "new.py").write_text("untracked\n")
    code = "import os; assert sorted(os.listdir()) == ['.git', 'README.md', 'app.py']; " \
        "assert open('app.py').read() == 'print(1)\\n'"  # fmt: skip

    report = check_tree(request_for({"build": [{"run": python(code)}]}))

    assert statuses(report) == [("build", "passed")]
    assert report.complete
    assert report.setup_failure is None


def test_without_checks_nothing_is_made(request_for: RequestFor, repository: Path) -> None:
    report = check_tree(request_for({}))

    assert (report.outcomes, report.complete) == ((), True)
    assert not (repository / ".orchestrator").exists()


def test_the_users_checkout_is_not_touched_by_checks(
    request_for: RequestFor, repository: Path, git: GitCall
) -> None:
    before = (repository / ".git" / "index").read_bytes(), git(repository, "status", "--porcelain")
    code = "import os, subprocess; os.remove('app.py'); subprocess.run(['git', 'config', 'a.b', 'c']); " \
        "subprocess.run(['git', 'add', '-A'])"  # fmt: skip

    check_tree(request_for({"test": [{"run": python(code)}]}))

    assert (repository / "app.py").exists()
    assert before[0] == (repository / ".git" / "index").read_bytes()
    assert "a.b" not in git(repository, "config", "--list")


def test_categories_run_in_order_and_are_numbered() -> None:
    from orchestrator.config.schema import Verify

    one = {"run": ["true"]}
    verify = Verify.model_validate({"custom": [one], "lint": [one, one], "build": [one]})

    assert [check.name for check in configured_checks(verify)] == ["build", "lint", "lint-2", "custom"]


def test_a_failing_command_without_parsed_findings_is_one_major_finding_with_its_last_lines(
    request_for: RequestFor,
) -> None:
    code = (
        "import sys; print('starting'); print('\\x1b[31mit is broken\\x1b[0m', file=sys.stderr); sys.exit(3)"
    )

    (outcome,) = check_tree(request_for({"lint": [{"run": python(code)}]})).outcomes

    assert (outcome.status, outcome.exit_status) == (CheckStatus.FAILED, 3)
    (finding,) = outcome.findings
    assert finding.severity is Severity.MAJOR
    assert finding.category is Category.LINT
    assert finding.message == "lint ended with status 3:\nstarting\nit is broken"
    assert Path(outcome.output_path).read_bytes().count(b"\x1b") == 2


def test_a_program_that_is_missing_is_broken_and_not_failed(request_for: RequestFor) -> None:
    (outcome,) = check_tree(request_for({"lint": [{"run": ["no-such-linter-anywhere"]}]})).outcomes

    assert outcome.status is CheckStatus.BROKEN
    assert outcome.findings == ()
    assert outcome.detail


def test_a_check_that_does_not_end_is_broken(request_for: RequestFor) -> None:
    sleeping = {"test": [{"run": python("import time; time.sleep(600)")}]}

    (late,) = check_tree(request_for(sleeping, timeout_s=0.3)).outcomes
    (silent,) = check_tree(request_for(sleeping, idle_timeout_s=0.3)).outcomes

    assert (late.status, late.exit_status) == (CheckStatus.BROKEN, None)
    assert (silent.status, silent.exit_status) == (CheckStatus.BROKEN, None)
    assert "silent" in silent.detail


def test_a_check_killed_by_a_signal_is_broken(request_for: RequestFor) -> None:
    killed = {"test": [{"run": python("import os; os.kill(os.getpid(), 9)")}]}

    (outcome,) = check_tree(request_for(killed)).outcomes

    assert outcome.status is CheckStatus.BROKEN
    assert "signal 9" in outcome.detail


def test_tests_that_pass_are_counted_from_their_report(request_for: RequestFor, tmp_path: Path) -> None:
    xml = "<testsuite><testcase name='a'/><testcase name='b'><skipped/></testcase></testsuite>"
    code = f"import sys; open(sys.argv[1], 'w').write({xml!r})"

    (outcome,) = check_tree(
        request_for({"test": [{"run": python(code, "{report}"), "report": "junit"}]})
    ).outcomes

    assert (outcome.status, outcome.tests_run) == (CheckStatus.PASSED, 1)
    assert Path(outcome.report_path).parent == tmp_path / "artifacts"


def test_each_attempt_writes_to_a_report_path_of_its_own(request_for: RequestFor) -> None:
    code = "import os, sys; print(sys.argv[1]); assert not os.path.exists(sys.argv[1]); " \
        "open(sys.argv[1], 'w').write('<testsuite><testcase name=\"a\"/></testsuite>')"  # fmt: skip
    request = request_for({"test": [{"run": python(code, "{report}"), "report": "junit"}]})

    first, second = (check_tree(request).outcomes[0] for _ in range(2))

    assert first.status is second.status is CheckStatus.PASSED
    assert first.report_path != second.report_path
    assert first.output_path != second.output_path


def test_a_stale_report_in_the_tree_cannot_stand_in_for_a_missing_one(request_for: RequestFor) -> None:
    (outcome,) = check_tree(
        request_for({"test": [{"run": python("pass", "{report}"), "report": "junit"}]})
    ).outcomes

    assert outcome.status is CheckStatus.BROKEN
    assert "no report" in outcome.detail


def test_a_report_that_is_a_link_is_not_read(request_for: RequestFor, tmp_path: Path) -> None:
    good = tmp_path / "good.xml"
    good.write_text("<testsuite><testcase name='a'/></testsuite>")
    code = f"import os, sys; os.symlink({str(good)!r}, sys.argv[1])"

    (outcome,) = check_tree(
        request_for({"test": [{"run": python(code, "{report}"), "report": "junit"}]})
    ).outcomes

    assert outcome.status is CheckStatus.BROKEN
    assert outcome.report_path == ""


def test_zero_tests_are_no_pass(request_for: RequestFor, tmp_path: Path) -> None:
    empty = "import sys; open(sys.argv[1], 'w').write('<testsuites><testsuite tests=\"0\"/></testsuites>')"
    unittest = python("import sys; print('Ran 0 tests in 0.000s', file=sys.stderr)")
    pytest_5 = python("import sys; sys.exit(5)", "pytest")

    report = check_tree(
        request_for(
            {
                "test": [
                    {"run": python(empty, "{report}"), "report": "junit"},
                    {"run": unittest},
                    {"run": pytest_5},
                    {"run": python("print('?   \\tx/y\\t[no test files]')")},
                    {"run": python("print('ok  \\tx/y\\t0.1s'); print('?   \\tx/z\\t[no test files]')")},
                ]
            }
        )
    )

    assert [outcome.status.value for outcome in report.outcomes] == ["no-tests"] * 4 + ["passed"]


def test_real_pytest_failures_are_findings_at_the_line_that_failed(
    request_for: RequestFor, repository: Path, git: GitCall
) -> None:
    (repository / "test_app.py").write_text(
        "def test_ok():\n    pass\n\ndef test_sum():\n    assert 1 + 1 == 3\n"
    )
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "tests")
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml={report}"]

    (outcome,) = check_tree(request_for({"test": [{"run": words, "report": "junit"}]})).outcomes

    assert (outcome.status, outcome.tests_run, outcome.itemised) == (CheckStatus.FAILED, 2, True)
    (finding,) = outcome.findings
    assert finding.location == "test_app.py:5"
    assert finding.context == "assert 1 + 1 == 3"
    assert finding.rule == "test_app::test_sum"
    assert "1 + 1" in finding.message


def test_real_pytest_without_tests_is_no_pass(request_for: RequestFor) -> None:
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]

    (with_report, without) = check_tree(
        request_for({"test": [{"run": [*words, "--junitxml={report}"], "report": "junit"}, {"run": words}]})
    ).outcomes

    assert with_report.status is without.status is CheckStatus.NO_TESTS


def test_real_ruff_findings_have_rule_place_and_context(
    request_for: RequestFor, repository: Path, git: GitCall
) -> None:
    (repository / "bad.py").write_text("import os\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "bad")
    words = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "json", "."]

    (outcome,) = check_tree(request_for({"lint": [{"run": words, "parse": "ruff"}]})).outcomes

    (finding,) = outcome.findings
    assert outcome.itemised
    assert (finding.rule, finding.location, finding.context) == ("F401", "bad.py:1", "import os")
    assert finding.severity is Severity.MEDIUM


def test_a_check_that_changes_tracked_files_is_noted_and_the_next_sees_the_original(
    request_for: RequestFor,
) -> None:
    request = request_for(
        {
            "build": [{"run": python("import os; open('app.py', 'w').write('x'); os.remove('README.md')")}],
            "test": [{"run": python("assert open('app.py').read() == 'print(1)\\n'; open('README.md')")}],
        }
    )

    report = check_tree(request)

    assert statuses(report) == [("build", "passed"), ("test", "passed")]
    notes = report.outcomes[0].findings
    assert [(note.rule, note.location) for note in notes] == [
        ("tree-changed", "README.md"),
        ("tree-changed", "app.py"),
    ]
    assert {note.severity for note in notes} == {Severity.MINOR}
    assert len(report.receipts) == 1


def test_what_a_build_leaves_untracked_is_there_for_the_tests(request_for: RequestFor) -> None:
    report = check_tree(
        request_for(
            {
                "build": [{"run": python("open('built', 'w')")}],
                "test": [{"run": python("open('built')")}],
            }
        )
    )

    assert statuses(report) == [("build", "passed"), ("test", "passed")]


def test_what_checks_left_is_gone_when_they_run_again(request_for: RequestFor) -> None:
    code = "import os; assert not os.path.exists('x'); open('x', 'w')"
    request = request_for({"test": [{"run": python(code)}]})

    first, second = check_tree(request), check_tree(request)

    assert statuses(first) == statuses(second) == [("test", "passed")]


def test_a_check_cannot_hide_its_change_behind_the_trees_own_git_directory(request_for: RequestFor) -> None:
    code = (
        "import subprocess; subprocess.run(['git', 'update-index', '--assume-unchanged', 'app.py']); "
        "open('app.py', 'w').write('x'); subprocess.run(['git', 'config', 'core.fsmonitor', 'true'])"
    )

    (outcome,) = check_tree(request_for({"test": [{"run": python(code)}]})).outcomes

    assert [note.location for note in outcome.findings] == ["app.py"]


def test_a_check_that_replaces_the_git_directory_does_not_disturb_the_next(request_for: RequestFor) -> None:
    code = "import shutil; shutil.rmtree('.git'); open('app.py', 'w').write('x')"
    request = request_for({"test": [{"run": python(code)}]})

    first, second = check_tree(request), check_tree(request)

    assert statuses(first) == statuses(second) == [("test", "passed")]


def test_the_environment_is_minimal_and_carries_the_marker(
    request_for: RequestFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "hunter2")
    code = "import os; assert 'A_SECRET' not in os.environ; assert os.environ['NAMED'] == 'yes'; " \
        f"assert os.environ['ORCHESTRATOR_EXECUTION'] == {MARK!r}"  # fmt: skip

    report = check_tree(request_for({"test": [{"run": python(code)}]}, variables={"NAMED": "yes"}))

    assert statuses(report) == [("test", "passed")]


def test_events_tell_each_step_and_a_process_waits_for_its_record(
    request_for: RequestFor, repository: Path
) -> None:
    told: list[CheckEvent] = []
    began: list[bool] = []
    flag = repository.parent / "began"

    def record(event: CheckEvent) -> None:
        told.append(event)
        if isinstance(event, ProcessStarted):
            time.sleep(0.2)
            began.append(flag.exists())

    code = f"open({str(flag)!r}, 'w')"
    check_tree(
        request_for({"test": [{"run": python(code)}]}, worktrees={"setup": [python("pass")]}), on_event=record
    )

    kinds = [type(event) for event in told]
    assert kinds == [SetupStarted, ProcessStarted, CheckStarted, ProcessStarted, CheckFinished]
    assert began == [False, False]


def test_an_error_while_recording_leaves_no_process(request_for: RequestFor) -> None:
    def record(event: CheckEvent) -> None:
        if isinstance(event, ProcessStarted):
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        check_tree(request_for({"test": [{"run": python("import time; time.sleep(600)")}]}), on_event=record)

    assert leftovers.find(MARK) == []


def after(count: int) -> Callable[[], bool]:
    asked: list[bool] = []

    def cancelled() -> bool:
        asked.append(True)
        return len(asked) > count

    return cancelled


def test_a_cancel_stops_the_running_check_and_the_report_is_not_complete(request_for: RequestFor) -> None:
    request = request_for(
        {
            "build": [{"run": python("pass")}],
            "test": [{"run": python("import time; time.sleep(600)")}],
        }
    )

    report = check_tree(request, cancelled=after(8))

    assert not report.complete
    assert len(report.outcomes) < 2
    assert leftovers.find(MARK) == []


def test_the_deadline_of_the_whole_stops_what_runs_and_what_would(request_for: RequestFor) -> None:
    verify = {"test": [{"run": python("import time; time.sleep(600)")}]}

    running = check_tree(request_for(verify, deadline=time.monotonic() + 1.5))
    never = check_tree(request_for(verify, deadline=time.monotonic() - 1))

    assert (running.complete, running.outcomes) == (False, ())
    assert (never.complete, never.outcomes) == (False, ())


def test_a_receipt_saves_the_run_of_a_check_that_passed_on_the_same_tree(
    request_for: RequestFor, tmp_path: Path
) -> None:
    count = tmp_path / "count"
    verify = {"test": [{"run": python(f"open({str(count)!r}, 'a').write('x')")}]}
    first = check_tree(request_for(verify))

    second = check_tree(request_for(verify, receipts=frozenset(first.receipts)))

    assert count.read_text() == "x"
    assert second.outcomes[0].reused
    assert second.outcomes[0].status is CheckStatus.PASSED
    assert second.receipts == first.receipts


def test_receipts_do_not_hold_for_another_tree_check_environment_or_brought_file(
    request_for: RequestFor, repository: Path, git: GitCall
) -> None:
    (repository / ".env").write_text("A=1\n")
    worktrees = {"bring": [".env"]}
    verify = {"test": [{"run": python("pass")}]}
    receipts = frozenset(check_tree(request_for(verify, worktrees=worktrees)).receipts)

    def is_reused(verify: dict[str, object], **options: object) -> bool:
        request = request_for(verify, worktrees=worktrees, receipts=receipts, **options)
        return check_tree(request).outcomes[0].reused

    same = is_reused(dict(verify))
    other_check = is_reused({"test": [{"run": python("pass", "x")}]})
    other_environment = is_reused(dict(verify), variables={"A": "1"})
    (repository / ".env").write_text("A=2\n")
    other_brought = is_reused(dict(verify))
    (repository / ".env").write_text("A=1\n")
    git(repository, "commit", "-q", "--allow-empty", "-m", "same tree")
    same_tree = is_reused(dict(verify))
    (repository / "app.py").write_text("print(2)\n")
    git(repository, "commit", "-q", "-a", "-m", "other tree")
    other_tree = is_reused(dict(verify))

    assert (same, same_tree) == (True, True)
    assert (other_check, other_environment, other_brought, other_tree) == (False, False, False, False)


def test_failures_always_run_again_and_builds_with_them(request_for: RequestFor, tmp_path: Path) -> None:
    count = tmp_path / "count"
    note = f"open({str(count)!r}, 'a').write"
    verify = {
        "build": [{"run": python(f"{note}('b')")}],
        "test": [{"run": python(f"{note}('t'); raise SystemExit(1)")}],
        "lint": [{"run": python(f"{note}('l')")}],
    }
    first = check_tree(request_for(verify))

    second = check_tree(request_for(verify, receipts=frozenset(first.receipts)))

    assert count.read_text() == "btlbt"
    assert [outcome.reused for outcome in second.outcomes] == [False, False, True]


def test_setup_that_fails_leaves_no_check_run(request_for: RequestFor, tmp_path: Path) -> None:
    flag = tmp_path / "ran"
    setup = [python("import sys; print('no such package'); sys.exit(2)")]

    report = check_tree(
        request_for({"test": [{"run": python(f"open({str(flag)!r}, 'w')")}]}, worktrees={"setup": setup})
    )

    assert report.outcomes == ()
    assert report.setup_failure is not None
    assert "status 2" in report.setup_failure
    assert "no such package" in report.setup_failure
    assert not flag.exists()


def test_a_cancel_during_setup_is_not_a_failed_setup(request_for: RequestFor) -> None:
    report = check_tree(
        request_for(
            {"test": [{"run": python("pass")}]},
            worktrees={"setup": [python("import time; time.sleep(600)")]},
        ),
        cancelled=after(1),
    )

    assert (report.complete, report.setup_failure) == (False, None)


def test_checks_run_where_the_agent_worked_when_asked(
    request_for: RequestFor, trees: IsolatedTrees, git: GitCall, repository: Path
) -> None:
    worktree = trees.create(request_for({}).run_id, "main", request_for({}).tree)
    (worktree.path / "installed").write_text("by the agent")
    code = "open('installed'); open('app.py', 'a').write('#')"
    request = request_for({"where": "worktree", "test": [{"run": python(code)}]}, worktree=worktree.path)

    (outcome,) = check_tree(request).outcomes

    assert outcome.status is CheckStatus.PASSED
    assert [note.location for note in outcome.findings] == ["app.py"]
    assert (worktree.path / "app.py").read_text() == "print(1)\n#"


def test_the_base_is_checked_in_a_clean_tree_even_then(request_for: RequestFor, repository: Path) -> None:
    request = request_for(
        {"where": "worktree", "test": [{"run": python("print(__import__('os').getcwd())")}]}, label="base"
    )

    (outcome,) = check_tree(request).outcomes

    assert ".checks/run-1/tree" in Path(outcome.output_path).read_text()
    assert Path(outcome.output_path).name.startswith("base-test")


def test_nothing_is_left_beside_the_clean_tree_and_discard_removes_that(
    request_for: RequestFor, trees: IsolatedTrees
) -> None:
    request = request_for({"test": [{"run": python("pass")}]})
    check_tree(request)
    place = trees.root / ".checks" / "run-1"
    left = sorted(os.listdir(place)), sorted(os.listdir(place / ".tree"))

    discard(trees, request.run_id)

    assert left == ([".tree", "tree"], ["ready.json"])
    assert not place.exists()
    assert [tree.path for tree in trees.list()] == []


def test_a_name_with_odd_bytes_can_be_checked_and_reported(
    request_for: RequestFor, repository: Path, git: GitCall
) -> None:
    name = os.fsencode(repository) + b"/od\xffd\n.py"
    Path(os.fsdecode(name)).write_text("x\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "odd")
    code = "import os\nfor n in os.listdir(b'.'):\n  if n.startswith(b'od'): open(n, 'w').write('y')"

    (outcome,) = check_tree(request_for({"test": [{"run": python(code)}]})).outcomes

    (note,) = outcome.findings
    note.identity.encode()
    note.message.encode("utf-8")
    assert note.rule == "tree-changed"


def test_a_change_of_the_same_size_in_the_same_second_is_noticed(request_for: RequestFor) -> None:
    code = "open('app.py', 'w').write('print(2)\\n')"

    (outcome,) = check_tree(request_for({"test": [{"run": python(code)}]})).outcomes

    assert [note.location for note in outcome.findings] == ["app.py"]


def test_in_the_agents_tree_only_what_a_check_changes_is_noted_and_once(
    request_for: RequestFor, trees: IsolatedTrees
) -> None:
    worktree = trees.create(request_for({}).run_id, "main", request_for({}).tree)
    (worktree.path / "README.md").unlink()
    change = {"run": python("open('app.py', 'a').write('#')")}
    request = request_for({"where": "worktree", "test": [change], "lint": [change]}, worktree=worktree.path)

    test, lint = check_tree(request).outcomes

    assert [note.location for note in test.findings] == ["app.py"]
    assert lint.findings == ()


def test_tools_that_obey_ignore_files_see_the_clean_tree(
    request_for: RequestFor, repository: Path, git: GitCall
) -> None:
    (repository / "bad.py").write_text("import os\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "bad")
    (repository / ".orchestrator").mkdir()
    (repository / ".orchestrator" / ".gitignore").write_text("*\n")
    words = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "json"]

    (outcome,) = check_tree(request_for({"lint": [{"run": words, "parse": "ruff"}]})).outcomes

    assert [finding.location for finding in outcome.findings] == ["bad.py:1"]


def test_a_hundred_megabytes_of_output_are_read_in_part(request_for: RequestFor) -> None:
    code = "import sys\nline = 'x' * 1023 + '\\n'\nfor n in range(100_000): sys.stdout.write(line)\n" \
        "print('the end'); sys.exit(1)"  # fmt: skip

    (outcome,) = check_tree(request_for({"lint": [{"run": python(code)}]})).outcomes

    (finding,) = outcome.findings
    assert finding.message.endswith("the end")
    assert len(finding.message) < 3000
    assert os.path.getsize(outcome.output_path) < 60 << 20


@pytest.mark.parametrize(
    ("parse", "code"),
    [
        ("ruff", "import sys; sys.stdout.buffer.write(b'[' * 3_000_000 + b'\\xff\\0')"),
        ("lines", "import sys; sys.stdout.buffer.write(b'\\x1b[' * 1_000_000 + b':1:1: ' * 100_000)"),
    ],
)
def test_hostile_output_that_ends_well_has_no_findings(
    request_for: RequestFor, parse: str, code: str
) -> None:
    (outcome,) = check_tree(request_for({"lint": [{"run": python(code), "parse": parse}]})).outcomes

    assert (outcome.status, outcome.findings) == (CheckStatus.PASSED, ())
    assert outcome.itemised is (parse == "lines")
