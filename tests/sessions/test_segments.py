"""What is read of a chain of saves is limited, yet a long run's chain is read whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import Refused
from orchestrator.model.ids import ObjectId
from orchestrator.repo.git import Git
from orchestrator.sessions.segments import MAX_SMALL_BYTES, read_parts
from tests.conftest import GitCall


def test_many_small_parts_are_read_and_one_that_is_too_large_is_not(repository: Path, git: GitCall) -> None:
    (repository / "large").write_bytes(b"x" * MAX_SMALL_BYTES)
    (repository / "too-large").write_bytes(b"x" * (MAX_SMALL_BYTES + 1))
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "parts")
    commit, reader = ObjectId(git(repository, "rev-parse", "HEAD")), Git(repository, trusted=False)

    read = read_parts(reader, [(commit, "large", MAX_SMALL_BYTES)] * 20)
    with pytest.raises(Refused) as refused:
        read_parts(reader, [(commit, "too-large", MAX_SMALL_BYTES)])

    assert [len(part) for part in read] == [MAX_SMALL_BYTES] * 20
    assert refused.value.code == "save-invalid"
