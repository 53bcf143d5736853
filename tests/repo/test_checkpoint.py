"""What a checkpoint keeps (promise 1), and what it never runs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import Failed, Refused
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.repo import borrowing
from tests.conftest import GitCall
from tests.repo.conftest import RUN, Bench


def test_a_checkpoint_keeps_changed_new_and_deleted_files_and_the_document(bench: Bench) -> None:
    tree = bench.tree()
    (tree.path / "app.py").write_text("print(2)\n")
    (tree.path / "new.py").write_text("x\n")
    (tree.path / "README.md").unlink()

    taken = bench.take(tree)

    assert bench.files(taken.tree) == {"app.py": "print(2)", "new.py": "x"}
    assert bench.left_out == []
    assert bench.checkpoints.read_document(taken.commit) == {"run": {"id": "run-1"}}
    assert bench.repository.read_ref("refs/orchestrator/runs/run-1") == taken.commit
    assert taken.number == 1
    assert taken.label == "after work"
    assert bench.git(bench.path, "log", "-1", "--format=%an %G?", taken.commit) == "orchestrator N"
    assert not list(tree.sidecar.glob("scratch-*"))


def test_checkpoints_of_a_run_form_a_chain_with_a_readable_manifest(bench: Bench) -> None:
    tree = bench.tree()
    first = bench.take(tree, label="one\nOrchestrator-Tree: forged")
    (tree.path / "app.py").write_text("print(2)\n")
    second = bench.take(tree, label="two")

    assert bench.checkpoints.list_checkpoints(RUN) == (second, first)
    assert bench.checkpoints.list_checkpoints(RunId("other")) == ()
    manifest = json.loads(bench.checkpoints.paths.checkpoint_manifest(RUN).read_text())
    assert [entry["commit"] for entry in manifest["checkpoints"]] == [first.commit, second.commit]
    assert bench.checkpoints.find(RUN, first.commit) == first
    assert first.label == "one Orchestrator-Tree: forged"


def test_a_lost_manifest_is_made_again_from_the_refs(bench: Bench) -> None:
    tree = bench.tree()
    bench.take(tree)
    bench.checkpoints.paths.checkpoint_manifest(RUN).write_text("{")

    bench.take(tree)

    manifest = json.loads(bench.checkpoints.paths.checkpoint_manifest(RUN).read_text())
    assert [entry["number"] for entry in manifest["checkpoints"]] == [1, 2]


def test_edits_hidden_by_assume_unchanged_and_skip_worktree_are_kept(bench: Bench) -> None:
    tree = bench.tree()
    bench.git(tree.path, "update-index", "--assume-unchanged", "app.py")
    bench.git(tree.path, "update-index", "--skip-worktree", "README.md")
    (tree.path / "app.py").write_text("hidden 1\n")
    (tree.path / "README.md").write_text("hidden 2\n")

    taken = bench.take(tree)

    assert bench.files(taken.tree) == {"app.py": "hidden 1", "README.md": "hidden 2"}


def test_commits_branches_tags_stashes_and_reflog_tips_of_the_agent_are_reachable(bench: Bench) -> None:
    tree = bench.tree()
    git, place = bench.git, tree.path

    def commit(text: str) -> str:
        (place / "app.py").write_text(text)
        git(place, "commit", "-qam", text)
        return git(place, "rev-parse", "HEAD")

    lost = commit("thrown away by reset")
    git(place, "reset", "-q", "--hard", tree.base)
    git(place, "checkout", "-q", "-b", "topic")
    topic = commit("topic")
    git(place, "tag", "-am", "annotated", "v1")
    git(place, "checkout", "-q", "--detach", tree.base)
    deleted = commit("on a deleted branch")
    git(place, "branch", "gone")
    git(place, "branch", "-qD", "gone")
    (place / "app.py").write_text("stashed 1")
    git(place, "stash", "-q")
    (place / "app.py").write_text("stashed 2")
    git(place, "stash", "-q")
    stashes = [git(place, "rev-parse", f"stash@{{{n}}}") for n in (0, 1)]
    blob = git(place, "hash-object", "-w", "app.py")
    git(place, "update-ref", "refs/odd/blob", blob)
    git(place, "pack-refs", "--all")
    tag = git(place, "cat-file", "tag", "v1")

    taken = bench.take(tree)

    assert bench.left_out == []
    for oid in (lost, topic, deleted, *stashes, blob):
        assert bench.reaches(oid), oid
    named = git(bench.path, "show", f"{taken.commit}:refs")
    assert f"{topic} refs/heads/topic" in named
    assert f"{deleted} HEAD" in named
    tags = git(bench.path, "ls-tree", "--name-only", f"{taken.commit}:tags")
    assert git(bench.path, "show", f"{taken.commit}:tags/{tags}") == tag
    assert (
        git(bench.path, "for-each-ref", "refs/heads", "refs/tags", "refs/stash", "refs/odd").count("\n") == 0
    )


def test_what_was_staged_and_then_deleted_or_changed_is_kept_beside_the_files(bench: Bench) -> None:
    tree = bench.tree()
    (tree.path / "staged.py").write_text("staged\n")
    (tree.path / "app.py").write_text("staged version\n")
    bench.git(tree.path, "add", "-A")
    (tree.path / "staged.py").unlink()
    (tree.path / "app.py").write_text("later version\n")

    taken = bench.take(tree)

    assert bench.files(taken.tree) == {"app.py": "later version", "README.md": "# app"}
    staged = bench.files(f"{taken.commit}:index")
    assert staged == {"app.py": "staged version", "README.md": "# app", "staged.py": "staged"}


def test_objects_the_agent_staged_survive_the_removal_of_its_tree(bench: Bench) -> None:
    tree = bench.tree()
    (tree.path / "big.py").write_text("only in the agent's object store\n")
    bench.git(tree.path, "add", "big.py")

    taken = bench.take(tree)
    shutil.rmtree(tree.path)

    assert bench.files(taken.tree)["big.py"] == "only in the agent's object store"


def test_conflict_stages_are_kept(bench: Bench) -> None:
    tree = bench.tree()
    git, place = bench.git, tree.path
    git(place, "checkout", "-q", "-b", "a")
    (place / "app.py").write_text("a\n")
    git(place, "commit", "-qam", "a")
    git(place, "checkout", "-q", "-b", "b", tree.base)
    (place / "app.py").write_text("b\n")
    git(place, "commit", "-qam", "b")
    git(place, "merge", "-q", "a", ok=False)

    taken = bench.take(tree)

    assert "<<<<<<<" in bench.files(taken.tree)["app.py"]
    names = git(bench.path, "show", f"{taken.commit}:conflicts/names").split("\0")
    kept = {
        names[i + 1]: git(bench.path, "show", f"{taken.commit}:conflicts/{names[i]}") for i in range(0, 6, 2)
    }
    assert kept == {"1/app.py": "print(1)", "2/app.py": "b", "3/app.py": "a"}


def test_ignored_files_are_kept_when_named_or_tracked_and_else_not(bench: Bench) -> None:
    tree = bench.tree()
    (tree.path / ".gitignore").write_text("*.log\nout/\nREADME.md\n")
    (tree.path / "keep.log").write_text("named\n")
    (tree.path / "drop.log").write_text("not named\n")
    (tree.path / "out" / "deep").mkdir(parents=True)
    (tree.path / "out" / "deep" / "result.txt").write_text("named by directory\n")
    (tree.path / "README.md").write_text("tracked, ignored, taken out of the index\n")
    bench.git(tree.path, "rm", "-q", "--cached", "README.md")

    taken = bench.take(tree, include=("keep.log", "out/", "nothing-*"))

    files = bench.files(taken.tree)
    assert files["keep.log"] == "named"
    assert files["out/deep/result.txt"] == "named by directory"
    assert files["README.md"] == "tracked, ignored, taken out of the index"
    assert "drop.log" not in files


def test_brought_files_are_in_no_checkpoint_even_when_the_agent_adds_commits_and_stashes_them(
    bench: Bench,
) -> None:
    tree = bench.tree()
    (tree.path / ".env").write_text("SECRET=canary\n")
    (tree.path / "cfg").mkdir()
    (tree.path / "cfg" / "key").write_text("canary two\n")
    (tree.path / "work.py").write_text("work\n")
    secret = bench.git(tree.path, "hash-object", ".env")
    other = bench.git(tree.path, "hash-object", "cfg/key")
    bench.git(tree.path, "add", "-Af")
    bench.git(tree.path, "commit", "-qm", "with secret")
    (tree.path / "work.py").write_text("stashed\n")
    bench.git(tree.path, "rm", "-q", "--cached", ".env")
    (tree.path / ".gitignore").write_text(".env\n")
    (tree.path / "beside.txt").write_text("untracked in the stash\n")
    beside = bench.git(tree.path, "hash-object", "beside.txt")
    bench.git(tree.path, "stash", "-q", "--all")
    (tree.path / ".env").write_text("SECRET=canary\n")
    (tree.path / "work.py").write_text("more\n")
    bench.git(tree.path, "add", "-Af")

    taken = bench.take(tree, include=(".env",), brought=(".env", "cfg"))

    assert bench.reaches(beside)

    assert not bench.reaches(secret)
    assert not bench.reaches(other)
    assert bench.files(taken.tree)["work.py"] == "more"
    assert bench.reaches(bench.git(tree.path, "rev-parse", "HEAD:work.py"))
    assert any("brought in" in sentence for sentence in bench.left_out)


def test_files_of_nested_repositories_are_kept_as_plain_files(bench: Bench) -> None:
    tree = bench.tree()
    git, place = bench.git, tree.path
    for name in ("with-commit", "staged-link", "empty-head", "with-commit/inner"):
        (place / name).mkdir()
        git(place / name, "init", "-q")
        (place / name / "f.txt").write_text(f"{name}\n")
    (place / "empty-head" / ".gitignore").write_text("build\n")
    (place / "empty-head" / "build").write_text("not work\n")
    (place / "with-commit" / ".gitignore").write_text("tracked.log\n")
    (place / "with-commit" / "tracked.log").write_text("ignored and tracked\n")
    for name in ("with-commit", "staged-link"):
        git(place / name, "add", "-f", "f.txt")
    git(place / "with-commit", "add", "-f", "tracked.log")
    for name in ("with-commit", "staged-link"):
        git(place / name, "commit", "-qm", "x")
    (place / "with-commit" / "f.txt").write_text("edited later\n")
    (place / "with-commit" / "untracked.txt").write_text("untracked\n")
    git(place, "add", "staged-link")
    git(place, "init", "-q", "--bare", "bare.git")

    taken = bench.take(tree)

    files = bench.files(taken.tree)
    assert files["with-commit/f.txt"] == "edited later"
    assert files["with-commit/untracked.txt"] == "untracked"
    assert files["with-commit/tracked.log"] == "ignored and tracked"
    assert files["with-commit/inner/f.txt"] == "with-commit/inner"
    assert files["staged-link/f.txt"] == "staged-link"
    assert files["empty-head/f.txt"] == "empty-head"
    assert "empty-head/build" not in files
    assert "bare.git/HEAD" in files


def test_a_directory_of_tracked_files_that_became_a_repository_keeps_its_files(
    repository: Path, git: GitCall
) -> None:
    (repository / "src").mkdir()
    (repository / "src" / "a.py").write_text("a\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "src")
    bench = Bench.at(repository, git)
    tree = bench.tree()
    git(tree.path / "src", "init", "-q")
    (tree.path / "src" / "a.py").write_text("changed\n")
    (tree.path / "src" / "b.py").write_text("new\n")

    without_commit = bench.files(bench.take(tree).tree)
    git(tree.path / "src", "add", "-A")
    git(tree.path / "src", "commit", "-qm", "own")
    with_commit = bench.files(bench.take(tree).tree)

    assert without_commit == with_commit
    assert with_commit["src/a.py"] == "changed"
    assert with_commit["src/b.py"] == "new"


def test_everything_is_kept_when_the_agent_removed_or_broke_its_git_directory(bench: Bench) -> None:
    tree = bench.tree()
    (tree.path / "new.py").write_text("x\n")
    index = (tree.path / ".git" / "index").read_bytes()
    expected = {"app.py": "print(1)", "README.md": "# app", "new.py": "x"}

    (tree.path / ".git" / "index").write_bytes(index[:-30])
    assert bench.files(bench.take(tree).tree) == expected
    (tree.path / ".git" / "index").write_bytes(b"rubbish")
    assert bench.files(bench.take(tree).tree) == expected
    (tree.path / ".git" / "index").unlink()
    assert bench.files(bench.take(tree).tree) == expected
    (tree.path / ".git" / "HEAD").write_text("ref: refs/heads/../../../etc\n")
    assert bench.files(bench.take(tree).tree) == expected
    shutil.rmtree(tree.path / ".git")
    assert bench.files(bench.take(tree).tree) == expected
    assert any("git directory is gone" in sentence for sentence in bench.left_out)
    (tree.path / ".git").write_text(f"gitdir: {bench.path}/.git\n")
    assert bench.files(bench.take(tree).tree) == expected
    (tree.path / ".git").unlink()
    (tree.path / ".git").symlink_to(bench.path / ".git")
    assert bench.files(bench.take(tree).tree) == expected
    os.unlink(tree.path / ".git")
    os.mkfifo(tree.path / ".git")
    assert bench.files(bench.take(tree).tree) == expected


def test_missing_objects_of_the_agent_cost_only_what_they_held(bench: Bench) -> None:
    tree = bench.tree()
    (tree.path / "app.py").write_text("committed\n")
    (tree.path / "other.py").write_text("other\n")
    bench.git(tree.path, "add", "-A")
    bench.git(tree.path, "commit", "-qm", "x")
    shutil.rmtree(tree.path / ".git" / "objects")
    (tree.path / ".git" / "objects").mkdir()

    taken = bench.take(tree)

    assert bench.files(taken.tree) == {"app.py": "committed", "README.md": "# app", "other.py": "other"}
    assert any("missing" in sentence or "not used" in sentence for sentence in bench.left_out)


def test_a_commit_whose_history_is_broken_does_not_cost_the_others(bench: Bench) -> None:
    tree = bench.tree()
    git, place = bench.git, tree.path
    git(place, "checkout", "-q", "-b", "good")
    (place / "app.py").write_text("good\n")
    git(place, "commit", "-qam", "good")
    good = git(place, "rev-parse", "HEAD")
    git(place, "checkout", "-q", "-b", "bad", tree.base)
    for n in (1, 2):
        (place / "app.py").write_text(f"bad {n}\n")
        git(place, "commit", "-qam", "bad")
    broken = git(place, "rev-parse", "HEAD~1")
    (place / ".git" / "objects" / broken[:2] / broken[2:]).unlink()

    taken = bench.take(tree)

    assert bench.files(taken.tree)["app.py"] == "bad 2"
    assert bench.reaches(good)
    assert any("objects of it are missing" in sentence for sentence in bench.left_out)


def test_links_special_files_modes_and_odd_names_are_kept_or_reported(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = bench.tree()
    place = tree.path
    (place / "out").symlink_to("/etc/passwd")
    (place / "loop").symlink_to("loop")
    (place / "run.sh").write_text("#!/bin/sh\n")
    (place / "run.sh").chmod(0o755)
    (place / "-dash").write_text("dash\n")
    (place / "new\nline").write_text("newline\n")
    (place / "Case").write_text("upper\n")
    (place / "case").write_text("lower\n")
    odd = os.fsencode(place) + b"/caf\xe9"
    with open(odd, "wb") as file:
        file.write(b"latin\n")
    os.mkfifo(place / "pipe")
    (place / "app.py").unlink()
    os.mkfifo(place / "app.py")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(place)  # the whole path may be too long for a socket
        server.bind("s")

    taken = bench.take(tree)

    files = bench.files(taken.tree)
    assert files["out"] == "/etc/passwd"
    assert files["-dash"] == "dash"
    assert files["new\nline"] == "newline"
    assert (files["Case"], files["case"]) == ("upper", "lower")
    assert files["caf\udce9"] == "latin"
    assert "100755 blob" in bench.git(bench.path, "ls-tree", taken.tree, "run.sh")
    assert "pipe" not in files
    assert [s for s in bench.left_out if "pipe" in s]
    assert [s for s in bench.left_out if "app.py" in s]


def test_a_file_put_for_a_directory_and_the_other_way_round(repository: Path, git: GitCall) -> None:
    (repository / "d").mkdir()
    (repository / "d" / "x").write_text("x\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "d")
    bench = Bench.at(repository, git)
    tree = bench.tree()
    shutil.rmtree(tree.path / "d")
    (tree.path / "d").write_text("now a file\n")
    (tree.path / "app.py").unlink()
    (tree.path / "app.py").mkdir()
    (tree.path / "app.py" / "inner").write_text("now a directory\n")

    files = bench.files(bench.take(tree).tree)

    assert files == {"README.md": "# app", "app.py/inner": "now a directory", "d": "now a file"}


def test_nothing_the_agent_configured_runs(
    bench: Bench, hostile: Callable[[Path], None], pwned: Callable[[], list[str]]
) -> None:
    tree = bench.tree()
    hostile(tree.path / ".git")
    (tree.path / ".gitattributes").write_text("*.py filter=evil\n*.long filter=long\n")
    (tree.path / "app.py").write_text("changed\n")
    (tree.path / "b.long").write_text("long\n")
    nested = tree.path / "nested"
    nested.mkdir()
    bench.git(nested, "init", "-q")
    (nested / "f.evil").write_text("f\n")
    bench.git(nested, "add", "f.evil")
    bench.git(nested, "commit", "-qm", "x")
    hostile(nested / ".git")
    (nested / "f.evil").write_text("g\n")

    taken = bench.take(tree)
    bench.take(tree)
    bench.trees.open(RUN, "main")
    bench.trees.list()

    assert pwned() == []
    assert bench.files(taken.tree)["nested/f.evil"] == "g"


def test_a_split_index_is_understood(bench: Bench) -> None:
    tree = bench.tree()
    bench.git(tree.path, "update-index", "--split-index")
    (tree.path / "new.py").write_text("x\n")
    bench.git(tree.path, "add", "new.py")
    (tree.path / "app.py").write_text("y\n")

    assert bench.files(bench.take(tree).tree) == {"app.py": "y", "README.md": "# app", "new.py": "x"}
    assert bench.left_out == []


def test_an_edit_of_the_same_size_within_the_clock_tick_of_the_index_is_seen(bench: Bench) -> None:
    tree = bench.tree()
    path = tree.path / "app.py"
    facts = path.stat()
    path.write_text("print(9)\n")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    assert bench.files(bench.take(tree).tree)["app.py"] == "print(9)"


def test_restore_writes_the_files_and_never_over_existing_work(bench: Bench, tmp_path: Path) -> None:
    tree = bench.tree()
    (tree.path / "new.py").write_text("x\n")
    (tree.path / "new.py").chmod(0o755)
    taken = bench.take(tree)

    bench.checkpoints.restore(taken, tmp_path / "out")

    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["README.md", "app.py", "new.py"]
    assert stat.S_IMODE((tmp_path / "out" / "new.py").stat().st_mode) & 0o100
    with pytest.raises(Refused) as refused:
        bench.checkpoints.restore(taken, tmp_path / "out")
    assert refused.value.code == "restore-not-empty"


def test_a_tree_that_is_gone_is_said_so(bench: Bench) -> None:
    tree = bench.tree()
    shutil.rmtree(tree.path)

    with pytest.raises(Failed) as failed:
        bench.take(tree)

    assert failed.value.code == "tree-missing"


def test_a_checkpoint_somebody_else_took_meanwhile_is_not_overwritten(bench: Bench) -> None:
    tree = bench.tree()
    bench.take(tree)
    alien = ObjectId(bench.git(bench.path, "commit-tree", "HEAD^{tree}", "-m", "alien"))
    bench.git(bench.path, "update-ref", "refs/orchestrator/runs/run-1", alien)

    with pytest.raises(Failed) as failed:
        bench.take(tree)

    assert failed.value.code == "ref-moved"
    assert bench.repository.read_ref("refs/orchestrator/runs/run-1") == alien


def test_a_checkpoint_without_a_readable_document_is_said_so(bench: Bench) -> None:
    head = bench.repository.resolve("HEAD")

    with pytest.raises(Failed) as failed:
        bench.checkpoints.read_document(head)
    with pytest.raises(Failed) as unknown:
        bench.checkpoints.find(RUN, head)

    assert failed.value.code == "checkpoint-unreadable"
    assert unknown.value.code == "checkpoint-unknown"


def test_a_missing_blob_of_a_commit_costs_that_commit_and_not_the_checkpoint(bench: Bench) -> None:
    tree = bench.tree()
    git, place = bench.git, tree.path
    git(place, "checkout", "-q", "-b", "good")
    (place / "app.py").write_text("good\n")
    git(place, "commit", "-qam", "good")
    good = git(place, "rev-parse", "HEAD")
    git(place, "checkout", "-q", "-b", "bad", tree.base)
    (place / "app.py").write_text("bad\n")
    git(place, "commit", "-qam", "bad")
    bad = git(place, "rev-parse", "HEAD")
    blob = git(place, "rev-parse", "HEAD:app.py")
    (place / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    (place / "app.py").write_text("later\n")

    taken = bench.take(tree)

    assert bench.files(taken.tree)["app.py"] == "later"
    assert bench.reaches(good)
    assert not bench.reaches(bad)
    assert f"{bad} is left out: objects of it are missing" in bench.left_out


def test_a_staged_version_whose_object_is_missing_is_reported(bench: Bench) -> None:
    tree = bench.tree()
    (tree.path / "app.py").write_text("staged\n")
    bench.git(tree.path, "add", "app.py")
    blob = bench.git(tree.path, "hash-object", "app.py")
    (tree.path / "app.py").write_text("later\n")
    (tree.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()

    taken = bench.take(tree)

    assert bench.files(taken.tree)["app.py"] == "later"
    assert any("staged" in sentence for sentence in bench.left_out)


def test_a_ref_to_a_missing_object_is_reported(bench: Bench) -> None:
    tree = bench.tree()
    (tree.path / ".git" / "refs" / "heads" / "ghost").write_text("1" * 40 + "\n")

    bench.take(tree)

    assert bench.left_out == [f"the object {'1' * 40} that a ref of the agent names is missing"]


def test_repositories_nested_beyond_reason_are_reported(bench: Bench) -> None:
    tree = bench.tree()
    place = tree.path
    for depth in range(18):
        place = place / "n"
        place.mkdir()
        bench.git(place, "init", "-q")
        (place / "f").write_text(f"{depth}\n")

    files = bench.files(bench.take(tree).tree)

    assert files["/".join(["n"] * 16) + "/f"] == "15"
    assert any("nested too deeply" in sentence for sentence in bench.left_out)


def test_a_nested_repository_that_lost_its_head_and_one_reached_by_a_link(
    bench: Bench, tmp_path: Path
) -> None:
    tree = bench.tree()
    outside = tmp_path / "outside"
    outside.mkdir()
    bench.git(outside, "init", "-q")
    (outside / "secret").write_text("not of the tree\n")
    (tree.path / "link").symlink_to(outside)
    (tree.path / "broken" / ".git").mkdir(parents=True)
    (tree.path / "broken" / "f").write_text("f\n")

    files = bench.files(bench.take(tree).tree)

    assert files["broken/f"] == "f"
    assert files["link"] == str(outside)
    assert "link/secret" not in files


def test_what_stands_where_the_manifest_belongs_does_not_stop_a_checkpoint(bench: Bench) -> None:
    tree = bench.tree()
    bench.take(tree)
    bench.checkpoints.paths.checkpoint_manifest(RUN).write_text('{"checkpoints": 7}')

    assert bench.take(tree).number == 2


def test_a_missing_object_of_an_unchanged_file_is_made_again_from_the_file(bench: Bench) -> None:
    tree = bench.tree()
    git, place = bench.git, tree.path
    (place / ".gitignore").write_text("forced.log\n")
    (place / "forced.log").write_text("ignored, added by force\n")
    (place / "app.py").write_text("committed and unchanged\n")
    git(place, "add", "-Af")
    git(place, "commit", "-qm", "x")
    for name in ("app.py", "forced.log"):
        os.utime(place / name, (1_600_000_000, 1_600_000_000))
    git(place, "status")
    blob = git(place, "rev-parse", "HEAD:app.py")
    (place / ".git" / "objects" / blob[:2] / blob[2:]).unlink()

    files = bench.files(bench.take(tree).tree)

    assert files["app.py"] == "committed and unchanged"
    assert files["forced.log"] == "ignored, added by force"


def test_where_nothing_changed_a_checkpoint_of_changes_is_the_one_before(bench: Bench) -> None:
    tree = bench.tree()
    first = bench.take(tree)

    same = bench.checkpoints.take(tree, run_id=RUN, document={}, label="again", only_changed=True)
    (tree.path / "new.py").write_text("x\n")
    other = bench.checkpoints.take(tree, run_id=RUN, document={}, label="more", only_changed=True)

    assert same.commit == first.commit
    assert (other.number, other.label) == (first.number + 1, "more")


@pytest.mark.parametrize(
    ("number", "tree", "stamp"),
    [
        ("\u00b2", None, 0),
        ("9" * 5000, None, 0),
        ("1", "--index-output=stolen", 0),
        ("1", "HEAD^{tree}", 0),
        ("1", None, 10**15),
    ],
)
def test_a_commit_that_only_looks_like_a_checkpoint_is_none(
    bench: Bench, number: str, tree: str | None, stamp: int
) -> None:
    real = bench.git(bench.path, "rev-parse", "HEAD^{tree}")
    message = f"forged\n\nOrchestrator-Number: {number}\nOrchestrator-Tree: {tree or real}\n"
    by = f"orchestrator <x@example.invalid> {stamp} +0000"
    room = borrowing.scratch_for(bench.repository, bench.trees.root)
    data = f"tree {real}\nauthor {by}\ncommitter {by}\n\n{message}".encode()
    branch = room.set_branch("forged", room.put("commit", data))
    borrowing.fetch(bench.repository, room.path, f"{branch}:refs/orchestrator/runs/{RUN}")

    assert bench.checkpoints.list_checkpoints(RUN) == ()
    assert bench.checkpoints.newest(RUN) is None


def test_a_run_whose_checkpoints_cannot_be_read_is_not_taken_for_one_without(bench: Bench) -> None:
    place = bench.repository.common_dir / "refs" / "orchestrator" / "runs" / RUN
    place.parent.mkdir(parents=True)
    place.write_text("1" * 40 + "\n")

    for read in (bench.checkpoints.newest, bench.checkpoints.list_checkpoints):
        with pytest.raises(Failed):
            read(RUN)
    place.unlink()
