from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.doctor import reference
from orchestrator.doctor.catalogue import CHECKS
from orchestrator.doctor.context import Context
from orchestrator.doctor.diagnosis import (
    Answer,
    Check,
    Diagnosis,
    Status,
    counted,
    in_bytes,
    listed,
    ok,
    skip,
    warn,
    worst,
)
from orchestrator.doctor.examine import chosen, examine
from orchestrator.errors import Refused
from tests.doctor.conftest import front, snapshot
from tests.engine.scene import Scene


@pytest.mark.parametrize("words", [(), ("--json",), ("--quick",), ("--footprint",), ("--fix", "--dry-run")])
def test_reading_calls_change_no_byte_mode_or_time_anywhere(
    finished: Scene, home: Path, words: tuple[str, ...]
) -> None:
    before = snapshot(finished.root, home)

    done = front(finished.root, *words)

    assert done.status == 0, done.out + done.err
    assert snapshot(finished.root, home) == before


def test_nothing_is_made_where_nothing_is_initialised(repository: Path, home: Path) -> None:
    before = snapshot(repository, home)

    done = front(repository, "--json")

    answer = json.loads(done.out)
    assert (done.status, answer["worst"], answer["schema_version"]) == (0, "warn", 1)
    assert snapshot(repository, home) == before


def test_every_check_has_the_fields_that_scripts_read(finished: Scene) -> None:
    answer = json.loads(front(finished.root, "--json").out)

    assert [check["id"] for check in answer["checks"]] == [check.id for check in CHECKS]
    for check in answer["checks"]:
        assert set(check) == {"id", "group", "status", "summary", "evidence", "remedy", "fixable"}
        assert check["status"] in ("ok", "warn", "fail", "skip")


def test_a_sound_repository_with_runs_has_no_failure(finished: Scene, context: Context) -> None:
    answers = examine(context)

    assert [a for a in answers if a.diagnosis.status is Status.FAIL] == []
    skipped = {answer.check.id for answer in answers if answer.diagnosis.status is Status.SKIP}
    assert skipped <= {"environment-umask", "file-system-kind"}


def test_ids_are_unique_and_there_are_at_least_thirty() -> None:
    ids = [check.id for check in CHECKS]

    assert len(ids) == len(set(ids)) >= 30


def test_a_check_that_breaks_fails_alone(context: Context) -> None:
    def broken(context: Context) -> Diagnosis:
        raise ZeroDivisionError("by nothing")

    checks = (
        Check("a", "g", "a", "", broken),
        Check("b", "g", "b", "", lambda context: ok("fine")),
    )

    first, second = examine(context, checks)

    assert first.diagnosis.status is Status.FAIL
    assert "ZeroDivisionError" in first.diagnosis.evidence[0]
    assert second.diagnosis.status is Status.OK


def test_a_check_that_meets_an_error_of_ours_or_of_the_system_is_skipped_with_the_reason(
    context: Context,
) -> None:
    def refused(context: Context) -> Diagnosis:
        raise Refused("No such thing.", code="x")

    def denied(context: Context) -> Diagnosis:
        raise PermissionError(13, "Permission denied")

    answers = examine(context, (Check("a", "g", "a", "", refused), Check("b", "g", "b", "", denied)))

    assert [answer.diagnosis.status for answer in answers] == [Status.SKIP, Status.SKIP]
    assert "No such thing." in answers[0].diagnosis.summary
    assert "Permission denied" in answers[1].diagnosis.summary
    assert worst(answers) is Status.OK


def test_a_check_that_hangs_is_given_up(context: Context) -> None:
    import threading

    never = threading.Event()

    def hangs(context: Context) -> Diagnosis:
        never.wait()
        return ok("late")

    [answer] = examine(context, (Check("a", "g", "a", "", hangs),), time_limit_s=0.05)
    never.set()

    assert answer.diagnosis.status is Status.FAIL
    assert "no answer within" in answer.diagnosis.summary


def test_an_unknown_id_is_refused_with_the_nearest() -> None:
    with pytest.raises(Refused, match="no check 'git-versio'") as refused:
        chosen(only="git-versio")

    assert refused.value.hint.endswith("--only git-version")
    assert refused.value.exit_status == 2


def test_one_check_or_one_group_can_be_chosen() -> None:
    assert [check.id for check in chosen(only="git-version")] == ["git-version"]
    assert {check.group for check in chosen(only="disk")} == {"disk"}
    assert 0 < len(chosen(quick=True)) < len(CHECKS)


def test_the_worst_answer_counts_and_skipped_ones_do_not() -> None:
    check = CHECKS[0]

    assert worst([]) is Status.OK
    assert worst([Answer(check, skip("x"))]) is Status.OK
    assert worst([Answer(check, ok("x")), Answer(check, warn("x", "y"))]) is Status.WARN


def test_long_evidence_is_cut_and_counted() -> None:
    assert listed(str(number) for number in range(14))[-1] == "and 4 more"
    assert (counted(1, "run"), counted(2, "process", "processes")) == ("1 run", "2 processes")
    assert (in_bytes(812), in_bytes(5 << 20), in_bytes(3 << 40)) == ("812 B", "5.0 MiB", "3.0 TiB")


def test_the_reference_page_is_current() -> None:
    assert reference.FILE.read_text() == reference.generate()


def test_the_reference_page_can_be_written(tmp_path: Path) -> None:
    reference.write(tmp_path / "doctor.md")

    assert (tmp_path / "doctor.md").read_text() == reference.generate()


@pytest.mark.parametrize(
    "words",
    [
        ("--only", "no-such-check"),
        ("--fix", "--recover"),
        ("--dry-run",),
        ("--quick", "--recover"),
        ("--only", "git-version", "--footprint"),
    ],
)
def test_wrong_usage_ends_with_2(repository: Path, words: tuple[str, ...]) -> None:
    assert front(repository, *words).status == 2


def test_a_directory_that_does_not_exist_ends_with_2(tmp_path: Path, home: Path) -> None:
    assert front(tmp_path / "nowhere").status == 2


def test_people_see_problems_first_each_with_what_to_do(repository: Path) -> None:
    done = front(repository)

    assert done.out.splitlines()[0].startswith("warn ")
    assert "fix: orchestrator init" in done.out
    assert done.out.splitlines()[-1].startswith(f"{len(CHECKS)} checks: ")


def test_verbose_shows_what_is_well_too(repository: Path) -> None:
    assert "git-version" not in front(repository).out
    assert "git-version: git version 2." in front(repository, "-v").out
