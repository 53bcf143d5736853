from __future__ import annotations

import os
from pathlib import Path

from orchestrator.discovery import locate
from orchestrator.model.ids import ObjectId
from orchestrator.repo.outage import emptied
from orchestrator.repo.repository import Repository
from tests.conftest import GitCall


def test_only_regular_files_that_lost_their_content_count_as_emptied(repository: Path, git: GitCall) -> None:
    names = ("cut", "zeroed", "kept", "gone", "linked", "piped", "was-empty")
    for name in names:
        (repository / name).write_text("" if name == "was-empty" else "content\n")
    (repository / "d").mkdir()
    (repository / "d" / "behind").write_text("content\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "all")
    known = ObjectId(git(repository, "rev-parse", "HEAD^{tree}"))

    (repository / "cut").write_bytes(b"")
    (repository / "zeroed").write_bytes(b"\0" * 8)
    for name in ("gone", "linked", "piped"):
        (repository / name).unlink()
    (repository / "linked").symlink_to("/dev/null")
    os.mkfifo(repository / "piped")
    outside = repository.parent / "outside"
    (repository / "d").rename(outside)
    (outside / "behind").write_bytes(b"")
    (repository / "d").symlink_to(outside)

    found = emptied(Repository(locate(str(repository)), trusted=False), repository, known)

    assert sorted(found) == [b"cut", b"zeroed"]


def test_a_file_larger_than_a_block_is_read_to_its_end(repository: Path, git: GitCall) -> None:
    (repository / "big").write_bytes(b"\0" * 200_000 + b"end")
    git(repository, "add", "big")
    git(repository, "commit", "-qm", "big")
    known = ObjectId(git(repository, "rev-parse", "HEAD^{tree}"))
    seen = Repository(locate(str(repository)), trusted=False)

    whole = emptied(seen, repository, known)
    (repository / "big").write_bytes(b"\0" * 200_003)

    assert (whole, emptied(seen, repository, known)) == ((), (b"big",))
