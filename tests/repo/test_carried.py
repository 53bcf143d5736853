"""A remote of which one branch carries refs of ours: what it answers, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.discovery import locate
from orchestrator.errors import Failed
from orchestrator.model.ids import ObjectId
from orchestrator.repo.carried import CarriedRemote
from orchestrator.repo.remote import Outcome
from orchestrator.repo.repository import Repository
from tests.conftest import GitCall

NAME = "refs/orchestrator/sessions/local-1/r1"
OTHER = "refs/orchestrator/sessions/local-1/r2"
HERE = "refs/orchestrator/incoming/local-1/r1"


@pytest.fixture
def remote(repository: Path, tmp_path: Path, git: GitCall) -> Path:
    """Returns a bare repository that holds main."""
    place = tmp_path / "remote.git"
    git(tmp_path, "clone", "-q", "--bare", str(repository), str(place))
    return place


def carried(repository: Path, url: Path, branch: str = "main") -> CarriedRemote:
    ours = Repository(locate(str(repository), {}), trusted=True)
    return CarriedRemote(ours, str(url), f"refs/heads/{branch}", timeout_s=20)


def head(git: GitCall, place: Path) -> ObjectId:
    return ObjectId(git(place, "rev-parse", "main"))


def test_what_is_pushed_is_told_and_fetched_and_the_branch_is_as_before_when_it_is_taken_out(
    repository: Path, remote: Path, git: GitCall
) -> None:
    before = head(git, remote)
    place = carried(repository, remote)

    done = place.push(before, NAME, None)
    again = place.push(before, NAME, before)
    from_elsewhere = carried(repository, remote)
    told = dict(from_elsewhere.tips("refs/orchestrator/sessions/"))
    from_elsewhere.fetch_all({NAME: HERE, OTHER: HERE + "2"})
    from_elsewhere.fetch_all({NAME: HERE})
    carrying = head(git, remote)
    taken_out = from_elsewhere.push(None, NAME, before)

    assert [each.outcome for each in (done, again, taken_out)] == [Outcome.DONE] * 3
    assert told == {NAME: before}
    assert git(repository, "for-each-ref", "--format=%(refname)", "refs/orchestrator") == HERE
    assert git(remote, "rev-parse", f"{carrying}^{{tree}}") == git(remote, "rev-parse", f"{before}^{{tree}}")
    assert head(git, remote) == before


def test_another_value_than_the_expected_one_is_stale_and_moves_nothing(
    repository: Path, remote: Path, git: GitCall
) -> None:
    before = head(git, remote)
    carried(repository, remote).push(before, NAME, None)
    carrying = head(git, remote)

    done = carried(repository, remote).push(before, NAME, None)

    assert done.outcome is Outcome.STALE
    assert head(git, remote) == carrying


def test_what_is_believed_of_the_branch_is_looked_at_again_when_somebody_moved_it(
    repository: Path, remote: Path, git: GitCall
) -> None:
    before = head(git, remote)
    one, two = carried(repository, remote), carried(repository, remote)
    one.push(before, NAME, None)

    two.push(before, OTHER, None)
    done = one.push(None, NAME, before)

    assert done.outcome is Outcome.DONE
    assert dict(carried(repository, remote).tips("refs/orchestrator/sessions/")) == {OTHER: before}


def test_what_others_built_on_is_found_beneath_their_work(
    repository: Path, remote: Path, tmp_path: Path, git: GitCall
) -> None:
    before = head(git, remote)
    carried(repository, remote).push(before, NAME, None)
    carrying = head(git, remote)
    theirs = tmp_path / "theirs"
    git(tmp_path, "clone", "-q", str(remote), str(theirs))
    git(theirs, "commit", "-q", "--allow-empty", "-m", "on top")
    git(theirs, "push", "-q", "origin", "main")

    place = carried(repository, remote)

    assert place.left_behind(NAME) == carrying
    assert place.left_behind(OTHER) is None
    assert dict(place.tips(NAME)) == {NAME: before}


def test_a_branch_that_is_not_there_is_not_made(repository: Path, remote: Path, git: GitCall) -> None:
    place = carried(repository, remote, "none")

    done = place.push(head(git, remote), NAME, None)

    assert done.outcome is Outcome.REFUSED
    assert "no branch none yet" in done.said
    assert dict(place.tips(NAME)) == {}
    assert place.left_behind(NAME) is None


def test_a_remote_that_is_gone_is_told(repository: Path, tmp_path: Path, git: GitCall) -> None:
    place = carried(repository, tmp_path / "gone.git")

    done = place.push(head(git, repository), NAME, None)

    assert done.outcome is Outcome.UNREACHABLE
    with pytest.raises(Failed):
        place.tips(NAME)


def test_only_refs_of_ours_are_carried_and_moved(repository: Path, remote: Path, git: GitCall) -> None:
    place = carried(repository, remote)

    with pytest.raises(ValueError, match="is not carried"):
        place.push(head(git, remote), "refs/heads/main", None)
    with pytest.raises(ValueError, match="not ours to move"):
        place.fetch_all({NAME: "refs/heads/main"})
