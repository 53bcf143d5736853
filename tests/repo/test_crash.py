"""A kill at every effect of making a tree and taking checkpoints: a repeat succeeds, nothing is left over."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import Failed
from orchestrator.fs import effects
from orchestrator.repo import repository as repository_module
from orchestrator.repo.fingerprint import differences
from orchestrator.repo.recovery import find_runs
from tests.conftest import GitCall
from tests.repo.conftest import RUN, Bench
from tests.sampling import EVERY, points

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")


def _work(bench: Bench) -> None:
    tree = bench.tree()
    (tree.path / "new.py").write_text("x\n")
    (tree.path / "app.py").write_text("2\n")
    bench.take(tree, label="end")


def _effects(bench: Bench) -> int:
    seen: list[str] = []
    with effects.observe(seen.append):
        _work(bench)
    return len(seen)


def _killed_at(number: int, work: Callable[[], None]) -> bool:
    """Returns whether a child that did the work was killed just before its effect of that number."""
    child = os.fork()
    if child == 0:
        seen: list[str] = []

        def cut(effect: str) -> None:
            seen.append(effect)
            if len(seen) == number:
                os.kill(os.getpid(), signal.SIGKILL)

        with contextlib.suppress(BaseException), effects.observe(cut):
            work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@EVERY
def test_a_kill_at_any_effect_is_mended_by_doing_it_again(
    repository: Path, git: GitCall, tmp_path: Path, every: bool
) -> None:
    master = tmp_path / "master"
    shutil.copytree(repository, master)
    total = _effects(Bench.at(repository, git))
    killed = 0
    chosen = points(total, every=every)
    for number in chosen:
        place = tmp_path / f"case-{number}"
        shutil.copytree(master, place)
        bench = Bench.at(place, git)
        before = bench.repository.fingerprint()

        killed += _killed_at(number, lambda bench=bench: _work(bench))  # type: ignore[misc]
        _work(bench)

        newest = bench.checkpoints.list_checkpoints(RUN)[0]
        assert bench.files(newest.tree) == {"app.py": "2", "README.md": "# app", "new.py": "x"}, number
        assert differences(before, bench.repository.fingerprint()) == ()
        litter = [
            p for p in place.rglob("*") if p.name.startswith(("scratch-", ".tmp-orchestrator-", "tmp_"))
        ]
        assert [p for p in litter if ".git/objects" not in str(p)] == [], number
        assert list(place.rglob("*.lock")) == []
        assert not (place / ".orchestrator/worktrees/run-1/.main/new").exists()
        assert bench.trees.list() == (bench.trees.open(RUN, "main"),)
        shutil.rmtree(place)
    assert killed == len(chosen)
    assert total > 20


def test_a_lock_that_a_killed_git_left_at_our_ref_is_cleared_and_those_of_others_stay(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        repository_module, "_LOCK_PATIENCE_S", 0.1
    )  # nobody holds it, so nobody is waited for
    tree = bench.tree()
    bench.take(tree)
    ours = bench.path / ".git" / "refs" / "orchestrator" / "runs" / "run-1.lock"
    theirs = bench.path / ".git" / "refs" / "heads" / "main.lock"
    ours.touch()
    theirs.touch()

    taken = bench.take(tree)

    assert taken.number == 2
    assert not ours.exists()
    assert theirs.exists()
    assert not bench.repository.clear_stale_lock("refs/heads/main")
    theirs.unlink()
    base = bench.path / ".git" / "refs" / "orchestrator" / "bases" / "other.lock"
    base.touch()
    bench.repository.update_ref("refs/orchestrator/bases/other", tree.base, None)
    assert not base.exists()


def test_runs_are_found_by_their_refs_alone(bench: Bench) -> None:
    tree = bench.tree()
    first = bench.take(tree)
    shutil.rmtree(bench.path / ".orchestrator")
    bench.git(bench.path, "update-ref", "refs/orchestrator/runs/UPPER", tree.base)
    bench.git(bench.path, "update-ref", "refs/orchestrator/runs/alien", tree.base)

    found = find_runs(bench.checkpoints)

    assert [(run.run_id, run.checkpoint, run.document) for run in found.runs] == [
        (RUN, first, {"run": {"id": RUN}})
    ]
    assert len(found.problems) == 2


def test_a_damaged_newest_document_gives_way_to_the_one_before(bench: Bench) -> None:
    tree = bench.tree()
    first = bench.take(tree)
    second = bench.checkpoints.take(tree, run_id=RUN, document={"unlike": "the first"}, label="second")
    blob = bench.git(bench.path, "rev-parse", f"{second.commit}:run.json")
    path = bench.path / ".git" / "objects" / blob[:2] / blob[2:]
    data = path.read_bytes()
    path.unlink()

    found = find_runs(bench.checkpoints)

    assert [run.checkpoint for run in found.runs] == [first]
    assert found.problems
    path.write_bytes(data)


def test_a_full_disk_leaves_the_checkpoint_before(bench: Bench) -> None:
    tree = bench.tree()
    first = bench.take(tree)

    def full(effect: str) -> None:
        if effect == "git fetch":
            raise Failed("no space", code="disk-full")

    with effects.observe(full), pytest.raises(Failed):
        bench.take(tree)

    assert bench.checkpoints.list_checkpoints(RUN) == (first,)
    assert not list(tree.sidecar.glob("scratch-*"))
