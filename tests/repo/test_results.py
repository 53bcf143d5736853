"""Results: phase commits carry the user's identity, and only our own branch is ever moved."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import Failed, Refused
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.repo.results import (
    branch_ref,
    checked_out_at,
    commit_phase,
    publish_branch,
    require_available,
    result_ref,
)
from tests.conftest import GitCall
from tests.repo.checkouts import look, opened

RUN = RunId("run-1")


def phase(git: GitCall, place: Path, parent: str, message: str = "Phase one") -> ObjectId:
    git(place, "checkout", "-q", "-b", "scratch", "HEAD")
    (place / "made.txt").write_text(message)
    git(place, "add", "-A")
    tree = ObjectId(git(place, "write-tree"))
    git(place, "reset", "-q", "--hard")
    git(place, "checkout", "-q", "main")
    git(place, "branch", "-q", "-D", "scratch")
    repository = opened(place)
    return commit_phase(
        repository,
        RUN,
        tree=tree,
        parent=ObjectId(git(place, "rev-parse", parent)),
        message=message,
        identity=repository.identity(),
    )


def test_a_phase_becomes_a_commit_of_the_user_that_a_ref_keeps(git: GitCall, repository: Path) -> None:
    commit = phase(git, repository, "main", "Phase one\n\nWith a body — and ünicode")

    assert git(repository, "rev-parse", result_ref(RUN)) == commit
    assert git(repository, "log", "-1", "--format=%an <%ae> %cn %P", commit) == (
        f"A User <user@example.invalid> A User {git(repository, 'rev-parse', 'main')}"
    )
    assert git(repository, "log", "-1", "--format=%B", commit).endswith("With a body — and ünicode")
    assert git(repository, "show", f"{commit}:made.txt")


def test_asked_twice_for_the_same_commit_the_first_is_the_answer(git: GitCall, repository: Path) -> None:
    first = phase(git, repository, "main")

    assert phase(git, repository, "main") == first


def test_phases_stack_and_a_result_that_somebody_moved_is_not_overwritten(
    git: GitCall, repository: Path
) -> None:
    first = phase(git, repository, "main")
    second = phase(git, repository, first, "Phase two")
    git(repository, "update-ref", result_ref(RUN), "main")

    with pytest.raises(Failed) as refusal:
        phase(git, repository, second, "Phase three")

    assert refusal.value.code == "ref-moved"
    assert git(repository, "rev-parse", f"{second}~1") == first


def test_a_result_is_published_moved_and_published_again(git: GitCall, repository: Path) -> None:
    before = look(git, repository)
    first = phase(git, repository, "main")
    second = phase(git, repository, first, "Phase two")

    assert publish_branch(opened(repository), RUN, first, None) == branch_ref(RUN)
    publish_branch(opened(repository), RUN, second, first)
    publish_branch(opened(repository), RUN, second, first)

    assert git(repository, "rev-parse", f"orchestrator/{RUN}") == second
    after = look(git, repository)
    assert {key: after[key] for key in ("files", "index", "head")} == {
        key: before[key] for key in ("files", "index", "head")
    }


def test_a_branch_name_that_is_taken_is_refused_with_the_way_to_keep_it(
    git: GitCall, repository: Path
) -> None:
    commit = phase(git, repository, "main")
    git(repository, "branch", f"orchestrator/{RUN}")

    with pytest.raises(Refused) as refusal:
        publish_branch(opened(repository), RUN, commit, None)
    with pytest.raises(Refused):
        require_available(opened(repository), RUN)

    assert refusal.value.code == "branch-taken"
    assert f"git branch -m orchestrator/{RUN}" in refusal.value.hint
    assert git(repository, "rev-parse", f"orchestrator/{RUN}") == git(repository, "rev-parse", "main")


def test_a_branch_named_orchestrator_leaves_no_room_for_ours(git: GitCall, repository: Path) -> None:
    git(repository, "branch", "orchestrator")

    with pytest.raises(Refused, match="orchestrator") as refusal:
        publish_branch(opened(repository), RUN, phase(git, repository, "main"), None)

    assert refusal.value.code == "branch-taken"


def test_a_branch_that_the_user_removed_or_moved_is_not_made_again(git: GitCall, repository: Path) -> None:
    first = phase(git, repository, "main")
    second = phase(git, repository, first, "Phase two")

    with pytest.raises(Refused, match="removed"):
        publish_branch(opened(repository), RUN, second, first)


def test_a_branch_that_the_user_has_checked_out_is_not_moved_under_them(
    git: GitCall, repository: Path, tmp_path: Path
) -> None:
    first = phase(git, repository, "main")
    second = phase(git, repository, first, "Phase two")
    publish_branch(opened(repository), RUN, first, None)
    git(repository, "worktree", "add", "-q", str(tmp_path / "linked"), f"orchestrator/{RUN}")

    with pytest.raises(Refused) as refusal:
        publish_branch(opened(repository), RUN, second, first)
    publish_branch(opened(repository), RUN, first, None)

    assert refusal.value.code == "branch-checked-out"
    assert checked_out_at(opened(repository), branch_ref(RUN)) == str(tmp_path / "linked")
    assert git(repository, "rev-parse", f"orchestrator/{RUN}") == first
