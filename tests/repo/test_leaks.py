"""A checkpoint that holds a known secret is kept, and says so for good."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.model.record import Leak
from orchestrator.redaction.redactor import Redactor
from orchestrator.repo.checkpoint import Checkpoints
from orchestrator.repo.trees import IsolatedTree
from tests.conftest import GitCall
from tests.repo.conftest import RUN, Bench

SECRET = "c4n4ryV4lue7hatN0body"


def _knowing(bench: Bench) -> Bench:
    redactor = Redactor()
    redactor.add("TOKEN", SECRET)
    checkpoints = bench.checkpoints
    return replace(
        bench, checkpoints=Checkpoints(bench.repository, checkpoints.paths, checkpoints.trees, redactor)
    )


@pytest.fixture
def knowing(bench: Bench) -> Bench:
    """Returns a bench whose checkpoints know one secret."""
    return _knowing(bench)


def _commit(git: GitCall, tree: IsolatedTree, message: str) -> None:
    who = ("-c", "user.name=An Agent", "-c", "user.email=agent@example.invalid")
    git(tree.path, "add", "-A")
    git(tree.path, *who, "commit", "-q", "--allow-empty", "-m", message)


def test_a_secret_in_a_file_is_told_by_path_and_name(knowing: Bench) -> None:
    tree = knowing.tree()
    (tree.path / "src").mkdir()
    (tree.path / "src" / "config.py").write_text(f"TOKEN = {SECRET!r}\n")

    taken = knowing.take(tree)

    assert taken.leaks == (Leak("src/config.py", "TOKEN", True),)
    assert taken.local_only
    assert knowing.files(taken.tree)["src/config.py"] == f"TOKEN = {SECRET!r}"


def test_a_secret_deep_in_a_large_file_is_found(knowing: Bench) -> None:
    tree = knowing.tree()
    filler = b"0123456789abcde\n" * 300_000
    (tree.path / "large").write_bytes(filler + SECRET.encode().hex().encode() + filler)

    assert knowing.take(tree).leaks == (Leak("large", "TOKEN", True),)


@pytest.mark.parametrize("name", [f"{SECRET}.txt", f"dir-{SECRET}/file"])
def test_a_secret_in_a_name_is_told_without_being_shown(knowing: Bench, name: str) -> None:
    tree = knowing.tree()
    (tree.path / name).parent.mkdir(exist_ok=True)
    (tree.path / name).write_text("nothing\n")

    leaks = knowing.take(tree).leaks

    assert [(leak.name, leak.in_tree) for leak in leaks] == [("TOKEN", True)]
    assert SECRET not in leaks[0].path


def test_a_secret_in_a_message_or_the_name_of_a_ref_is_told(knowing: Bench, git: GitCall) -> None:
    tree = knowing.tree()
    git(tree.path, "checkout", "-q", "-b", f"branch-{SECRET}")
    _commit(git, tree, f"use {SECRET}")
    head = git(tree.path, "rev-parse", "HEAD")

    leaks = knowing.take(tree).leaks

    assert set(leaks) == {Leak(f"(commit {head[:12]})", "TOKEN", False), Leak("refs", "TOKEN", False)}


def test_only_what_is_new_is_searched_and_the_mark_stays(knowing: Bench) -> None:
    tree = knowing.tree()
    (tree.path / "leak.txt").write_text(SECRET)
    first = knowing.take(tree)
    (tree.path / "leak.txt").unlink()
    (tree.path / "other.txt").write_text("clean\n")
    second = knowing.take(tree)

    assert (first.local_only, bool(first.leaks)) == (True, True)
    assert (second.local_only, second.leaks) == (True, ())
    assert [each.local_only for each in knowing.checkpoints.list_checkpoints(RUN)] == [True, True]
    manifest = json.loads(knowing.checkpoints.paths.checkpoint_manifest(RUN).read_text())
    assert [entry.get("local_only") for entry in manifest["checkpoints"]] == [True, True]
    assert knowing.checkpoints.read_document(second.commit)["local_only"] is True


def test_what_the_base_holds_already_is_no_leak_of_the_agent(repository: Path, git: GitCall) -> None:
    (repository / "known.txt").write_text(SECRET)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "it is there")
    knowing = _knowing(Bench.at(repository, git))
    tree = knowing.tree()
    (tree.path / "new.txt").write_text("clean\n")

    taken = knowing.take(tree)

    assert (taken.local_only, taken.leaks) == (False, ())


def test_a_file_that_was_brought_is_in_no_checkpoint_and_marks_none(knowing: Bench) -> None:
    tree = knowing.tree()
    (tree.path / ".env").write_text(f"TOKEN={SECRET}\n")

    taken = knowing.take(tree, brought=(".env",))

    assert (taken.local_only, taken.leaks) == (False, ())
    assert ".env" not in knowing.files(taken.tree)


def test_without_a_known_value_nothing_is_marked(bench: Bench) -> None:
    tree = bench.tree()
    (tree.path / "leak.txt").write_text(SECRET)

    taken = bench.take(tree)

    assert (taken.local_only, taken.leaks) == (False, ())
    assert "Orchestrator-Local" not in bench.git(bench.path, "log", "-1", "--format=%B", taken.commit)


def test_the_files_of_a_result_are_searched_against_its_base(knowing: Bench) -> None:
    tree = knowing.tree()
    (tree.path / "src").mkdir()
    (tree.path / "src" / "leak.txt").write_text(SECRET)
    (tree.path / "(group)").mkdir()
    (tree.path / "(group)" / "leak.txt").write_text(SECRET + "!")
    taken = knowing.take(tree)

    leaks = knowing.checkpoints.leaks_in(taken.tree, tree.base)

    assert {leak.path for leak in leaks} == {"src/leak.txt", "(group)/leak.txt"}
    assert all(leak.in_tree for leak in leaks)


def test_a_label_with_a_secret_is_kept_without_it(knowing: Bench) -> None:
    assert knowing.take(knowing.tree(), label=f"after {SECRET}").label == "after [redacted:TOKEN]"
