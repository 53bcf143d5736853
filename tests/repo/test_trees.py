"""What an isolated tree shares with the user's repository, and what it cannot reach."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator.errors import GitFailed, Refused
from orchestrator.fs import effects
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.repo import scratch
from orchestrator.repo.fingerprint import differences
from orchestrator.repo.git import Git
from orchestrator.repo.history import read_small
from orchestrator.repo.removal import remove_notes
from orchestrator.repo.trees import git_in
from tests.conftest import GitCall
from tests.repo.conftest import RUN, Bench
from tests.sampling import EVERY, points


def test_a_tree_is_a_clean_checkout_of_the_base_without_hooks_or_a_way_to_push(bench: Bench) -> None:
    bench.git(bench.path, "tag", "v1")
    before = bench.repository.fingerprint()
    bench.git(bench.path, "update-ref", "-d", "refs/tags/v1")
    assert differences(before, bench.repository.fingerprint()) == ("refs/tags/v1 is gone",)

    tree = bench.tree()

    assert bench.git(tree.path, "status", "--porcelain") == ""
    assert bench.git(tree.path, "rev-parse", "HEAD") == tree.base
    assert not (tree.path / ".git" / "hooks").exists()
    assert bench.repository.read_ref("refs/orchestrator/bases/run-1") == tree.base
    assert bench.trees.list() == bench.trees.list(RUN) == (tree,)
    assert bench.trees.create(RUN, "main", tree.base) == bench.trees.open(RUN, "main") == tree
    assert bench.trees.list(RunId("other")) == ()
    assert tree.environment() == {"GIT_CEILING_DIRECTORIES": str(tree.path.parent)}
    assert git_in(tree).text("rev-parse", "HEAD") == tree.base


def test_remote_tracking_refs_and_tags_are_mirrored_and_pushing_is_disabled(
    repository: Path, git: GitCall, tmp_path: Path
) -> None:
    git(repository, "tag", "-am", "one", "v1")
    git(tmp_path, "clone", "-q", str(repository), "clone")
    bench = Bench.at(tmp_path / "clone", git)

    tree = bench.tree()

    assert git(tree.path, "describe", "--tags") == "v1"
    assert git(tree.path, "rev-parse", "origin/HEAD") == tree.base
    (tree.path / "app.py").write_text("x\n")
    git(tree.path, "commit", "-qam", "x")
    with pytest.raises(AssertionError, match="disabled"):
        git(tree.path, "push", "origin", "HEAD:refs/heads/pushed")
    taken = bench.take(tree)
    assert bench.reaches(git(tree.path, "rev-parse", "HEAD"))
    assert "refs/tags/v1" in git(bench.path, "show", f"{taken.commit}:refs")


def test_what_an_agent_does_to_its_repository_does_not_reach_the_users(bench: Bench) -> None:
    tree = bench.tree()
    for words in (
        ("config", "user.name", "Agent"),
        ("gc", "-q", "--prune=now"),
        ("branch", "main"),
        ("update-ref", "refs/orchestrator/runs/run-1", "HEAD"),
        ("commit", "-q", "--allow-empty", "-m", "x"),
        ("stash", "clear"),
        ("reflog", "expire", "--all", "--expire=now"),
        ("repack", "-adq"),
    ):
        bench.git(tree.path, *words)
    (tree.path / ".git" / "info" / "exclude").write_text("*\n")

    bench.take(tree)

    assert bench.repository.read_ref("refs/orchestrator/runs/run-1") is not None


def test_git_does_not_find_the_users_repository_from_a_tree_that_lost_its_own(bench: Bench) -> None:
    tree = bench.tree()
    shutil.rmtree(tree.path / ".git")

    done = subprocess.run(
        ["git", "rev-parse", "--git-dir"],
        cwd=tree.path,
        env={**os.environ, **tree.environment()},
        capture_output=True,
    )

    assert done.returncode == 128


def test_many_trees_are_made_at_once_without_a_lock(bench: Bench) -> None:
    base = bench.repository.resolve("HEAD")

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: bench.trees.create(RunId(f"run-{n}"), "main", base), range(8)))

    assert {bench.git(tree.path, "status", "--porcelain") for tree in made} == {""}


@pytest.mark.parametrize("trusted", [False, True])
def test_local_filters_and_line_ends_are_taken_over_and_filters_run_only_when_trusted(
    repository: Path, git: GitCall, trusted: bool
) -> None:
    (repository / ".gitattributes").write_text("*.up filter=upper\n")
    (repository / "a.up").write_text("abc\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "attributes")
    git(repository, "config", "filter.upper.clean", "tr A-Z a-z")
    git(repository, "config", "filter.upper.smudge", "tr a-z A-Z")
    git(repository, "config", "filter.upper.required", "true")
    git(repository, "config", "core.autocrlf", "true")
    bench = Bench.at(repository, git, trusted=trusted)

    tree = bench.tree()

    assert (tree.path / "a.up").read_bytes() == (b"ABC\r\n" if trusted else b"abc\r\n")
    assert (tree.path / "app.py").read_bytes() == b"print(1)\r\n"
    (tree.path / "a.up").write_bytes(b"XYZ\r\n")
    taken = bench.take(tree)
    assert bench.files(taken.tree)["a.up"] == ("xyz" if trusted else "XYZ")
    assert bench.files(taken.tree)["app.py"] == "print(1)"
    assert bench.repository.local_filters() == ("filter.upper.clean", "filter.upper.smudge")


def test_a_hostile_repository_runs_nothing(
    repository: Path,
    git: GitCall,
    hostile: Callable[[Path], None],
    pwned: Callable[[], list[str]],
    tmp_path: Path,
) -> None:
    (repository / ".gitattributes").write_text("*.py filter=evil merge=evil diff=evil\n*.md filter=long\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "attributes")
    hostile(repository / ".git")
    os.utime(repository / "app.py")
    bench = Bench.at(repository, git)
    repo = bench.repository

    head = repo.resolve("HEAD")
    repo.head(), repo.dirty_paths(untracked=True), repo.fingerprint(), repo.identity(), repo.our_refs()
    repo.diff(repo.resolve("HEAD~1"), head)
    repo.diff(repo.resolve("HEAD~1"), head, stat=True)
    tree = bench.tree()
    (tree.path / "app.py").write_text("2\n")
    taken = bench.take(tree)
    bench.checkpoints.list_checkpoints(RUN)
    bench.checkpoints.restore(taken, tmp_path / "out")
    (repository / "app.py").write_text("3\n")
    bench.checkpoints.checkpoint_user_tree(RunId("user"))

    assert pwned() == []
    assert "filter.evil.clean" in repo.local_filters()
    assert "pre-commit" in repo.local_hooks()


def test_a_sparse_checkout_stays_sparse_and_keeps_what_it_does_not_show(
    repository: Path, git: GitCall
) -> None:
    for name in ("in", "out"):
        (repository / name).mkdir()
        (repository / name / "f").write_text(f"{name}\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "dirs")
    git(repository, "sparse-checkout", "set", "--cone", "in")
    bench = Bench.at(repository, git)
    tree = bench.tree()
    assert not (tree.path / "out").exists()
    (tree.path / "in" / "f").write_text("changed\n")
    (tree.path / "out").mkdir()
    (tree.path / "out" / "f").write_text("changed outside\n")
    (tree.path / "out" / "new").write_text("new outside\n")

    files = bench.files(bench.take(tree).tree)

    assert files["in/f"] == "changed"
    assert files["out/f"] == "changed outside"
    assert files["out/new"] == "new outside"
    shutil.rmtree(tree.path / "out")
    assert bench.files(bench.take(tree).tree)["out/f"] == "out"
    index = (tree.path / ".git" / "index").read_bytes()
    (tree.path / ".git" / "index").write_bytes(b"rubbish")
    assert bench.files(bench.take(tree).tree)["out/f"] == "out"
    (tree.path / ".git" / "index").write_bytes(index)
    git(tree.path, "sparse-checkout", "reapply", "--sparse-index")
    assert bench.files(bench.take(tree).tree)["out/f"] == "out"


def test_a_shallow_clone_gives_trees_and_checkpoints_and_stays_as_shallow(
    repository: Path, git: GitCall, tmp_path: Path
) -> None:
    for n in range(3):
        git(repository, "commit", "-q", "--allow-empty", "-m", str(n))
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", "shallow")
    bench = Bench.at(tmp_path / "shallow", git)
    before = bench.repository.fingerprint()

    tree = bench.tree()
    (tree.path / "app.py").write_text("2\n")
    git(tree.path, "commit", "-qam", "x")
    taken = bench.take(tree)

    assert bench.left_out == []
    assert bench.reaches(git(tree.path, "rev-parse", "HEAD"))
    assert bench.files(taken.tree)["app.py"] == "2"
    assert differences(before, bench.repository.fingerprint()) == ()
    git(tree.path, "fetch", "-q", "--depth=2", f"file://{repository}", "main")
    assert bench.files(bench.take(tree).tree)["app.py"] == "2"
    assert differences(before, bench.repository.fingerprint()) == ()


def test_a_sha256_repository_works(tmp_path: Path, git: GitCall) -> None:
    place = tmp_path / "sha256"
    place.mkdir()
    git(place, "init", "-q", "--object-format=sha256")
    (place / "a").write_text("a\n")
    git(place, "add", "-A")
    git(place, "commit", "-qm", "a")
    bench = Bench.at(place, git)
    tree = bench.tree()
    assert len(tree.base) == 64
    (tree.path / "a").write_text("b\n")
    (tree.path / "nested").mkdir()
    git(tree.path / "nested", "init", "-q")
    (tree.path / "nested" / "n").write_text("n\n")

    taken = bench.take(tree)

    assert bench.files(taken.tree) == {"a": "b", "nested/n": "n"}
    assert bench.checkpoints.list_checkpoints(RUN) == (taken,)
    assert bench.repository.object_format == "sha256"


def test_a_partial_clone_fetches_what_a_checkout_needs(
    repository: Path, git: GitCall, tmp_path: Path
) -> None:
    git(repository, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--no-checkout", "--filter=blob:none", f"file://{repository}", "partial")
    bench = Bench.at(tmp_path / "partial", git)

    tree = bench.tree()
    (tree.path / "app.py").write_text("2\n")
    taken = bench.take(tree)

    assert (tree.path / "README.md").read_text() == "# app\n"
    assert bench.files(taken.tree)["app.py"] == "2"


def test_a_linked_worktree_of_the_user_can_be_the_origin(
    repository: Path, git: GitCall, tmp_path: Path
) -> None:
    git(repository, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    (tmp_path / "side" / "app.py").write_text("side\n")
    git(tmp_path / "side", "commit", "-qam", "side")
    bench = Bench.at(tmp_path / "side", git)

    tree = bench.tree()
    taken = bench.take(tree)

    assert tree.path == repository / ".orchestrator" / "worktrees" / "run-1" / "main"
    assert bench.files(taken.tree)["app.py"] == "side"
    assert git(repository, "rev-parse", "refs/orchestrator/runs/run-1") == taken.commit


def test_objects_the_user_borrows_are_borrowed_on(repository: Path, git: GitCall, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--shared", str(repository), "first")
    git(tmp_path, "clone", "-q", "--shared", "first", "second")
    bench = Bench.at(tmp_path / "second", git)
    tree = bench.tree()

    assert git(tree.path, "status", "--porcelain") == ""
    assert bench.files(bench.take(tree).tree)["app.py"] == "print(1)"
    info = repository / ".git" / "objects" / "info"
    info.mkdir(exist_ok=True)
    (info / "alternates").write_text("# nothing\n../nowhere\n")
    assert len(scratch.alternates_of(tmp_path / "second" / ".git" / "objects")) == 3


def test_a_repository_whose_path_needs_quoting_can_be_borrowed_from(
    repository: Path, git: GitCall, tmp_path: Path
) -> None:
    odd = tmp_path / 'line\nbreak "quoted" \\ #: sp ace'
    shutil.move(repository, odd)
    bench = Bench.at(odd, git)
    tree = bench.tree()
    (tree.path / "app.py").write_text("2\n")

    taken = bench.take(tree)

    assert bench.left_out == []
    assert bench.files(taken.tree)["app.py"] == "2"


def test_scratch_of_dead_processes_is_swept_and_of_living_ones_not(tmp_path: Path) -> None:
    done = subprocess.Popen(["true"])
    done.wait()
    for name in (f"scratch-{done.pid}-ab", f"scratch-{os.getpid()}-ab", "scratch-odd", "other"):
        (tmp_path / name).mkdir()

    assert scratch.sweep(tmp_path) == 2
    assert {entry.name for entry in tmp_path.iterdir()} == {f"scratch-{os.getpid()}-ab", "other"}
    assert scratch.sweep(tmp_path, everything=True) == 1
    assert scratch.sweep(tmp_path / "absent") == 0


def test_lfs_pointers_are_not_taken_for_content_and_the_store_is_shared(
    repository: Path, git: GitCall
) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12\n"
    (repository / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (repository / "a.bin").write_text(pointer)
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "lfs")
    (repository / ".git" / "lfs").mkdir()
    bench = Bench.at(repository, git)

    tree = bench.tree()

    assert (tree.path / "a.bin").read_text() == pointer
    assert git(tree.path, "config", "lfs.storage") == str(repository / ".git" / "lfs")


@pytest.fixture
def with_submodule(repository: Path, git: GitCall, tmp_path: Path) -> Path:
    library = tmp_path / "library"
    library.mkdir()
    git(library, "init", "-q")
    (library / "lib.py").write_text("lib\n")
    git(library, "add", "-A")
    git(library, "commit", "-qm", "lib")
    for path in ("lib", "unfilled"):
        git(repository, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), path)
    git(repository, "commit", "-qm", "submodules")
    git(repository, "submodule", "deinit", "-q", "-f", "unfilled")
    return repository


def test_submodules_are_filled_from_the_users_and_their_changes_kept(
    with_submodule: Path, git: GitCall
) -> None:
    bench = Bench.at(with_submodule, git)
    before = bench.repository.fingerprint()
    tree = bench.tree()
    sub = tree.path / "lib"
    assert git(tree.path, "status", "--porcelain") == ""
    assert (sub / "lib.py").read_text() == "lib\n"
    assert list((tree.path / "unfilled").iterdir()) == []
    assert "submodules" not in git(bench.path, "ls-tree", "--name-only", bench.take(tree).commit)

    (sub / "lib.py").write_text("committed in the submodule\n")
    git(sub, "commit", "-qam", "change")
    made = git(sub, "rev-parse", "HEAD")
    (sub / "lib.py").write_text("and edited\n")
    (sub / "new.py").write_text("untracked\n")
    taken = bench.take(tree)
    shutil.rmtree(tree.path)

    assert bench.left_out == []
    assert bench.reaches(made)
    assert bench.files(taken.tree)["lib"] == made
    assert git(bench.path, "show", f"{taken.commit}:submodules/names").split("\0")[:2] == ["0", "lib"]
    assert bench.files(f"{taken.commit}:submodules/0") == {"lib.py": "and edited", "new.py": "untracked"}
    assert differences(before, bench.repository.fingerprint()) == ()


def test_nothing_a_submodule_configured_runs(
    with_submodule: Path, git: GitCall, hostile: Callable[[Path], None], pwned: Callable[[], list[str]]
) -> None:
    bench = Bench.at(with_submodule, git)
    tree = bench.tree()
    hostile(tree.path / "lib" / ".git")
    (tree.path / "lib" / "lib.py").write_text("x\n")
    (tree.path / "lib" / "a.evil").write_text("x\n")
    hostile(with_submodule / ".git" / "modules" / "lib")
    (with_submodule / "lib" / "lib.py").write_text("x\n")

    bench.take(tree)
    bench.repository.dirty_paths(untracked=True)
    bench.checkpoints.checkpoint_user_tree(RunId("user"))
    bench.trees.create(RUN, "second", tree.base)

    assert pwned() == []


def test_a_tree_object_can_be_a_base(bench: Bench) -> None:
    wanted = bench.repository.tree_of(bench.repository.resolve("HEAD"))

    tree = bench.trees.create(RUN, "clean", wanted)

    assert bench.git(tree.path, "rev-parse", "HEAD^{tree}") == wanted
    assert bench.trees.create(RUN, "clean", wanted) == tree


def test_what_is_not_ours_is_neither_used_nor_removed(bench: Bench, tmp_path: Path) -> None:
    base = bench.repository.resolve("HEAD")
    alien = bench.trees.root / "run-1" / "alien"
    alien.mkdir(parents=True)
    (alien / "work").write_text("somebody's\n")

    with pytest.raises(Refused) as refused:
        bench.trees.create(RUN, "alien", base)
    with pytest.raises(Refused):
        bench.trees.open(RUN, "absent")
    for name in ("..", "A", "", "x/y", ".main"):
        with pytest.raises(Refused) as invalid:
            bench.trees.create(RUN, name, base)
        assert invalid.value.code == "tree-name-invalid"

    assert refused.value.code == "tree-unknown"
    assert (alien / "work").read_text() == "somebody's\n"
    (alien.parent / ".alien").mkdir()
    for receipt in ("[]", '{"base": 1}', "rubbish"):
        (alien.parent / ".alien" / "ready.json").write_text(receipt)
        assert bench.trees.list() == ()


def test_a_base_that_cannot_be_checked_out_leaves_no_tree(bench: Bench) -> None:
    with pytest.raises(GitFailed):
        bench.trees.create(RUN, "main", ObjectId("1" * 40))

    assert bench.trees.list() == ()


def test_a_moved_repository_repairs_its_trees_and_a_copy_uses_its_own_objects(
    bench: Bench, tmp_path: Path, git: GitCall
) -> None:
    tree = bench.tree()
    (tree.path / "app.py").write_text("before the copy\n")
    shutil.copytree(bench.path, tmp_path / "copy", symlinks=True)
    copy = Bench.at(tmp_path / "copy", git)

    opened = copy.trees.open(RUN, "main")
    taken = copy.take(opened)

    assert (
        (opened.path / ".git" / "objects" / "info" / "alternates")
        .read_text()
        .startswith(str(tmp_path / "copy"))
    )
    assert copy.files(taken.tree)["app.py"] == "before the copy"
    assert bench.repository.read_ref("refs/orchestrator/runs/run-1") is None
    assert copy.repository.git_dir_identity != bench.repository.git_dir_identity
    shutil.rmtree(opened.path / ".git")
    assert copy.trees.open(RUN, "main") == opened
    (opened.path / ".git").write_text("gitdir: elsewhere\n")
    assert copy.trees.open(RUN, "main") == opened


def test_the_uncommitted_changes_of_the_user_become_a_base_and_the_checkout_stays_as_it_is(
    repository: Path, git: GitCall
) -> None:
    bench = Bench.at(repository, git)
    head = bench.repository.resolve("HEAD")
    assert bench.checkpoints.checkpoint_user_tree(RUN) == head
    (bench.path / "app.py").write_text("staged\n")
    bench.git(bench.path, "add", "app.py")
    (bench.path / "app.py").write_text("edited\n")
    (bench.path / "new.py").write_text("new\n")
    (bench.path / ".orchestrator").mkdir(exist_ok=True)
    (bench.path / ".orchestrator" / "workflow.yaml").write_text("version: 1\n")
    before = bench.repository.fingerprint()

    base = bench.checkpoints.checkpoint_user_tree(RUN)

    assert differences(before, bench.repository.fingerprint()) == ()
    assert bench.files(base) == {"app.py": "edited", "README.md": "# app", "new.py": "new"}
    assert bench.git(bench.path, "rev-parse", f"{base}^") == head
    tree = bench.trees.create(RUN, "main", base)
    assert (tree.path / "new.py").read_text() == "new\n"


def test_git_speaks_only_of_its_own_repository(tmp_path: Path, home: Path) -> None:
    with pytest.raises(GitFailed) as failed:
        Git(tmp_path, trusted=True).run("status")

    assert failed.value.status == 128


def test_a_tree_that_lost_nothing_gets_nothing_back(bench: Bench) -> None:
    tree = bench.tree()
    known = bench.repository.tree_of(tree.base)

    assert bench.trees.put_back_emptied(tree, known) == ()


def test_notes_of_a_tree_that_is_still_there_stay(bench: Bench) -> None:
    tree = bench.tree()

    remove_notes(tree.path)

    assert tree.sidecar.is_dir()


def test_a_tree_whose_git_directory_the_agent_replaced_is_left_alone(bench: Bench) -> None:
    tree = bench.tree()
    shutil.rmtree(tree.path / ".git")
    (tree.path / ".git").write_text("gitdir: elsewhere\n")

    bench.trees.open(tree.run_id, tree.name)

    assert (tree.path / ".git").read_text() == "gitdir: elsewhere\n"


def test_only_regular_files_are_read_as_small_ones(tmp_path: Path) -> None:
    (tmp_path / "large").write_text("123456")

    assert read_small(tmp_path) == b""
    assert read_small(tmp_path / "large", largest_bytes=5) == b""
    assert read_small(tmp_path / "large") == b"123456"


@pytest.mark.parametrize("trusted", [False, True])
def test_a_tree_made_with_files_shows_them_as_changes_and_filters_them_like_its_base(
    repository: Path, git: GitCall, trusted: bool
) -> None:
    (repository / ".gitattributes").write_text("*.up filter=upper\n")
    (repository / "a.up").write_text("abc\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "attributes")
    git(repository, "config", "filter.upper.clean", "tr A-Z a-z")
    git(repository, "config", "filter.upper.smudge", "tr a-z A-Z")
    bench = Bench.at(repository, git, trusted=trusted)
    first = bench.tree()
    (first.path / "a.up").write_text("xyz\n")
    (first.path / "new.py").write_text("new\n")
    (first.path / "app.py").unlink()
    taken = bench.take(first)

    again = bench.trees.create(RUN, "again", first.base, files=taken.tree)

    assert (again.path / "a.up").read_text() == ("XYZ\n" if trusted else "xyz\n")
    assert (again.path / "new.py").read_text() == "new\n"
    assert not (again.path / "app.py").exists()
    assert git(again.path, "rev-parse", "HEAD") == first.base
    assert bench.take(again).tree == taken.tree


def test_a_submodule_whose_commit_only_an_agent_had_is_filled_with_that_of_the_base(
    with_submodule: Path, git: GitCall
) -> None:
    bench = Bench.at(with_submodule, git)
    tree = bench.tree()
    (tree.path / "lib" / "lib.py").write_text("committed in the submodule\n")
    git(tree.path / "lib", "commit", "-qam", "change")
    taken = bench.take(tree)

    again = bench.trees.create(RUN, "again", tree.base, files=taken.tree)

    assert (again.path / "lib" / "lib.py").read_text() == "lib\n"
    assert list((again.path / "unfilled").iterdir()) == []


@EVERY
def test_a_power_cut_leaves_no_tree_that_looks_ready_and_lacks_its_files(bench: Bench, every: bool) -> None:
    first = bench.tree()
    (first.path / "app.py").write_text("print(2)\n")
    taken = bench.take(first)
    seen: list[str] = []
    with effects.observe(seen.append):
        bench.trees.create(RUN, "t0", first.base, files=taken.tree)

    for number in points(len(seen), every=every):
        countdown = iter(range(number))

        def cut(effect: str, countdown: Iterator[int] = countdown) -> None:
            if next(countdown, None) is None:
                raise KeyboardInterrupt(effect)

        with suppress(KeyboardInterrupt), effects.observe(cut):
            bench.trees.create(RUN, f"t{number}", first.base, files=taken.tree)

        ready = [tree for tree in bench.trees.list(RUN) if tree.name == f"t{number}"]
        assert [(tree.path / "app.py").read_text() for tree in ready] == ["print(2)\n"] * len(ready)
