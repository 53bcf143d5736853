"""Making room in a real repository: what goes, what stays, and what a kill leaves at every effect."""

from __future__ import annotations

import gzip
import shutil
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.config.schema import Session as Limits
from orchestrator.errors import Failed, Refused
from orchestrator.fs.disk import Disk
from orchestrator.fs.effects import observe
from orchestrator.fs.lock import FileLock
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.model.run import RunStatus
from orchestrator.paths import OrchestratorPaths, names
from orchestrator.repo import archive as archiving
from orchestrator.repo import removal
from orchestrator.sessions import freeing, identity
from orchestrator.sessions.budget import Budgets
from orchestrator.sessions.environment import detect
from orchestrator.sessions.identity import Here
from orchestrator.sessions.pruning import Opened, Pruned, budgets_of, everything_is_pushed, prune
from orchestrator.workspace import Workspace
from tests.conftest import GitCall
from tests.engine.scene import Scene
from tests.sessions.making import listing, old_runs

HERE = Here(detect({}), "boot/machine/", (0, 0))
ROOMY = budgets_of(Limits())
NOTHING = Budgets(1, 1, timedelta(days=30), 500)
WORK = "open('made.txt','w').write('made')"
MODEL = RunId("model")


class Cut(BaseException):
    """The power is gone."""


@pytest.fixture
def scene(repository: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Returns the sample repository with the finished run `model`, a copy of the one that was made first."""
    template = tmp_path_factory.getbasetemp() / "with-a-finished-run"
    programs = tmp_path / "programs"
    programs.mkdir()
    made = Scene(repository, programs)
    if template.is_dir():
        shutil.rmtree(repository)
        shutil.copytree(template, repository, symlinks=True)
        return made
    made.configure("")
    assert made.run(run_id=MODEL, command=made.program("work", WORK)).status is RunStatus.COMPLETED
    draft = template.with_name("draft")
    shutil.copytree(repository, draft, symlinks=True)
    draft.rename(template)
    return made


def pruned(workspace: Workspace, budgets: Budgets = ROOMY, **other: object) -> Pruned:
    given = {"is_pushed": everything_is_pushed, "here": HERE, "now": datetime.now(UTC), **other}
    return prune(
        [Opened(None, workspace.context)],
        budgets,
        report=lambda sentence: None,
        **given,  # type: ignore[arg-type]
    )


def known(workspace: Workspace) -> set[str]:
    return {str(run.id) for run in workspace.state.list_runs()}


def test_old_runs_go_into_the_archive_and_come_back_whole(scene: Scene, git: GitCall) -> None:
    old_runs(scene.root, git, MODEL, ["o1", "o2", "o3"])
    own = ("refs/orchestrator/runs/o2", "refs/orchestrator/results/o2")
    refs = git(scene.root, "for-each-ref", *own)
    with scene.open() as workspace:
        before = workspace.state.export_run_summary(RunId("o2"))
        events = workspace.state.events(RunId("o2"))

        done = pruned(workspace)

        assert set(done.archived) == {"o1", "o2", "o3"}
        assert done.problems == []
        assert known(workspace) == {MODEL}
        month = f"{datetime.now(UTC) - timedelta(days=40):%Y-%m}"
        assert set(archiving.archived_runs(workspace.repository)) == {"o1", "o2", "o3"}
        listed = git(scene.root, "for-each-ref", "--format=%(refname)", "refs/orchestrator/")
        assert f"refs/orchestrator/archive/{month}" in listed
        assert "/o2" not in listed
        assert not workspace.paths.run_artifacts_dir("o2").exists()

        archived = archiving.read_archived(workspace.repository, RunId("o2"))
        assert archived is not None
        freeing.restore(workspace.context, archived)
        freeing.restore(workspace.context, archived)  # again, as after a kill

        assert (
            git(scene.root, "for-each-ref", "refs/orchestrator/runs/o2", "refs/orchestrator/results/o2")
            == refs
        )
        again = workspace.state.export_run_summary(RunId("o2"))
        assert {**again, "artifacts": []} == {**before, "artifacts": []}
        assert workspace.state.events(RunId("o2"))[: len(events)] == events
        assert workspace.state.verify_chain() is None
        assert workspace.state.problems() == ()


def test_the_archive_brings_a_run_into_a_fresh_state_with_its_events(scene: Scene, git: GitCall) -> None:
    with scene.open() as workspace:
        told = [(event.kind, event.data) for event in workspace.state.events(MODEL)]
        pruned(workspace, now=datetime.now(UTC) + timedelta(days=99))
        assert known(workspace) == set()
    for name in names.STATE_FILES:
        Disk().remove(scene.root / ".orchestrator" / name)

    with scene.open() as workspace:
        archived = archiving.read_archived(workspace.repository, MODEL)
        assert archived is not None
        freeing.restore(workspace.context, archived)

        found = [(event.kind, event.data) for event in workspace.state.events(MODEL)]
        assert found[: len(told)] == told
        assert workspace.context.checkpoints.list_checkpoints(MODEL)
        assert not workspace.state.get_run(MODEL).metadata.trusted


def test_outputs_are_compressed_before_they_go_and_stay_readable(scene: Scene, git: GitCall) -> None:
    old_runs(scene.root, git, MODEL, ["o1"], days=1, outputs=60_000)
    place = OrchestratorPaths(scene.root).run_artifacts_dir("o1")
    text = (place / "out.log").read_bytes()
    with scene.open() as workspace:
        total_bytes = pruned(workspace).before_bytes

        done = pruned(workspace, Budgets(total_bytes - 1, total_bytes, timedelta(days=30), 500))

        assert (done.compressed, done.outputs, done.archived) == (1, 0, [])
        assert done.freed_bytes > 0
        assert [path.name for path in place.iterdir()] == ["out.log.gz"]
        assert gzip.decompress((place / "out.log.gz").read_bytes()) == text
        assert "o1" in known(workspace)


def test_a_tree_goes_behind_a_checkpoint(scene: Scene, git: GitCall) -> None:
    program = scene.program("fails", WORK + "; raise SystemExit(3)")
    assert scene.run(run_id="f1", command=program).status is RunStatus.FAILED
    tree = scene.root / ".orchestrator/worktrees/f1/main"
    (tree / "precious.txt").write_text("by hand")
    with scene.open() as workspace:
        done = pruned(workspace, Budgets(1, 10**9, timedelta(days=30), 500))

        assert done.trees == 1
        assert not tree.exists()
        if "f1" not in known(workspace):
            archived = archiving.read_archived(workspace.repository, RunId("f1"))
            assert archived is not None
            freeing.restore(workspace.context, archived)
        (newest, *_) = workspace.context.checkpoints.list_checkpoints(RunId("f1"))
    assert git(scene.root, "show", f"{newest.tree}:precious.txt") == "by hand"
    assert scene.resume(RunId("f1")).status is RunStatus.FAILED
    assert (tree / "precious.txt").read_text() == "by hand"


def test_a_live_run_and_what_is_not_pushed_are_not_touched(scene: Scene, git: GitCall) -> None:
    old_runs(scene.root, git, MODEL, ["live", "unpushed", "o1"])
    paths = OrchestratorPaths(scene.root)
    before = {name: listing(paths.run_artifacts_dir(name)) for name in ("live", "unpushed")}
    with (
        scene.open() as workspace,
        FileLock(paths.run_lock("live"), what="run live", command="x"),
    ):
        done = pruned(workspace, NOTHING, is_pushed=lambda run: run.id != "unpushed")

        assert {"live", "unpushed"} <= known(workspace)
        assert "o1" in done.archived
        assert {name: listing(paths.run_artifacts_dir(name)) for name in before} == before
        for name in before:
            assert workspace.repository.read_ref(names.RUN_REFS + name) is not None


def test_a_run_that_came_alive_after_the_look_stays(scene: Scene, git: GitCall) -> None:
    old_runs(scene.root, git, MODEL, ["o1", "o2"])
    lock = FileLock(OrchestratorPaths(scene.root).run_lock("o1"), what="run o1", command="x")
    with scene.open() as workspace:

        def begin(effect: str) -> None:
            if not lock.is_held and "run-o2" not in effect:
                lock.acquire()

        try:
            with observe(begin):
                done = pruned(workspace)
        finally:
            lock.release()

        assert done.archived == ["o2"]
        assert "o1" in known(workspace)


def spread(total: int, points: int) -> list[int]:
    """Returns that many numbers below `total`, the first and the last among them."""
    return [at * (total - 1) // (points - 1) for at in range(points)]


def count_effects(scene: Scene) -> int:
    effects: list[str] = []
    with scene.open() as workspace, observe(effects.append):
        pruned(workspace, NOTHING)
    return len(effects)


@pytest.mark.parametrize("points", [5, pytest.param(None, marks=pytest.mark.long)])
def test_a_kill_at_any_effect_loses_nothing_and_the_next_call_meets_the_budgets(
    scene: Scene, git: GitCall, tmp_path: Path, points: int | None
) -> None:
    old_runs(scene.root, git, MODEL, ["o1", "o2"])
    old_runs(scene.root, git, MODEL, ["live"], days=90)
    untouched = tmp_path / "untouched"
    shutil.copytree(scene.root, untouched, symlinks=True)
    total = count_effects(Scene(untouched, scene.programs))
    tips = dict(
        line.split()[::-1]
        for line in git(scene.root, "for-each-ref", "--format=%(objectname) %(refname)").splitlines()
    )
    assert total > 40
    for number in range(total) if points is None else spread(total, points):
        place = tmp_path / f"cut{number}"
        shutil.copytree(scene.root, place, symlinks=True)
        left = [number]

        def cut(effect: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Cut

        here = Scene(place, scene.programs)
        paths = OrchestratorPaths(place)
        with FileLock(paths.run_lock("live"), what="run live", command="x"):
            live = listing(paths.run_artifacts_dir("live"))
            workspace = here.open()
            with suppress(Cut), observe(cut):
                pruned(workspace, NOTHING)
            workspace.state.close()
            with here.open() as workspace:
                done = pruned(workspace, NOTHING)

                assert done.problems == [], number
                assert known(workspace) == {"live", MODEL}, number  # no room is gained by it
                assert listing(paths.run_artifacts_dir("live")) == live
                assert sorted(p.name for p in paths.artifacts_dir.iterdir()) == ["live", MODEL]
                for name in ("o1", "o2"):
                    archived = archiving.read_archived(workspace.repository, RunId(name))
                    assert archived is not None, (number, name)
                    assert archived.refs[names.RUN_REFS + name] == tips[names.RUN_REFS + name]
                    freeing.restore(workspace.context, archived)
                    assert workspace.state.get_run(RunId(name)).status is RunStatus.COMPLETED
                assert workspace.state.problems() == ()
                assert workspace.state.verify_chain() is None
        refs = git(place, "for-each-ref", "--format=%(refname) %(objectname)", "refs/orchestrator/")
        now = dict(line.split() for line in refs.splitlines() if "/archive/" not in line)
        assert now == {name: oid for name, oid in tips.items() if name.startswith("refs/orchestrator/")}
        assert "fatal" not in git(place, "fsck", "--connectivity-only", "--no-dangling")
        shutil.rmtree(place)


def test_no_ref_goes_that_the_archive_does_not_reach(scene: Scene) -> None:
    with scene.open() as workspace:
        ref = names.RUN_REFS + MODEL
        tip = workspace.repository.read_ref(ref)
        assert tip is not None

        with pytest.raises(Failed) as failed:
            removal.remove_archived_refs(workspace.repository, {ref: tip})

        assert failed.value.code == "not-kept"
        assert workspace.repository.read_ref(ref) == tip


def test_a_run_does_not_come_back_over_a_ref_that_is_elsewhere(scene: Scene, git: GitCall) -> None:
    old_runs(scene.root, git, MODEL, ["o1"])
    with scene.open() as workspace:
        pruned(workspace)
        archived = archiving.read_archived(workspace.repository, RunId("o1"))
        assert archived is not None
        workspace.repository.update_ref(names.RUN_REFS + "o1", workspace.repository.resolve("HEAD"), None)

        with pytest.raises(Refused) as refused:
            freeing.restore(workspace.context, archived)

    assert refused.value.code == "ref-taken"


def test_an_archive_that_names_what_it_does_not_hold_restores_nothing(scene: Scene, git: GitCall) -> None:
    old_runs(scene.root, git, MODEL, ["o1"])
    with scene.open() as workspace:
        pruned(workspace)
        archived = archiving.read_archived(workspace.repository, RunId("o1"))
        assert archived is not None
        (scene.root / "x").write_text("x")
        git(scene.root, "add", "x")
        git(scene.root, "commit", "-q", "-m", "mine")
        mine = ObjectId(git(scene.root, "rev-parse", "HEAD"))
        forged = archiving.Archived(
            archived.run_id, archived.ref, {names.RUN_REFS + "o1": mine}, archived.document, archived.events
        )

        with pytest.raises(Failed):
            freeing.restore(workspace.context, forged)

        assert workspace.repository.read_ref(names.RUN_REFS + "o1") is None
        assert known(workspace) == {MODEL}


def test_a_session_of_another_boot_without_runs_goes_and_a_living_one_stays(
    scene: Scene, tmp_path: Path
) -> None:
    root = OrchestratorPaths(scene.root)
    left = identity.create(root, Disk(), Here(detect({"CI": "1"}), "b1/ci/", (0, 0)))
    beating = identity.create(root, Disk(), Here(detect({"CI": "1"}), "b2/ci/", (0, 0)))
    identity.beat(Disk(), beating)
    with scene.open() as workspace:
        from orchestrator.sessions.choosing import StateTree
        from orchestrator.workspace import open_beside

        with (
            open_beside(workspace, StateTree(root.of_session(left.id), left)) as first,
            open_beside(workspace, StateTree(root.of_session(beating.id), beating)) as second,
        ):
            done = prune(
                [Opened(left, first.context), Opened(beating, second.context)],
                ROOMY,
                is_pushed=everything_is_pushed,
                here=HERE,
                now=datetime.now(UTC),
                report=lambda sentence: None,
            )

    assert done.sessions == [left.id]
    assert not left.directory.exists()
    assert beating.directory.is_dir()


@pytest.mark.parametrize("place", ["..", "link", "deep/er"])
def test_outputs_are_removed_only_where_they_are_kept(scene: Scene, place: str) -> None:
    root = scene.root / ".orchestrator/artifacts"
    (root / "deep/er").mkdir(parents=True)
    (root / "link").symlink_to(root / "deep")

    with pytest.raises(Refused):
        removal.remove_outputs(root / place, root=root)

    assert (root / "deep/er").is_dir()


def test_a_packed_output_that_differs_keeps_the_original(scene: Scene) -> None:
    original, packed = scene.root / "a.log", scene.root / "a.log.gz"
    original.write_bytes(b"one" * 1000)
    for content in (b"two" * 1000, b"one" * 999, b"one" * 1001):
        packed.write_bytes(gzip.compress(content))

        with pytest.raises(Failed):
            removal.remove_packed(original, packed)

        assert original.exists()


def test_trees_elsewhere_count_for_the_state_whose_runs_they_are(scene: Scene, tmp_path: Path) -> None:
    scene.configure(f"worktrees: {{root: {tmp_path}/trees}}")
    program = scene.program("fails", WORK + "; raise SystemExit(3)")
    assert scene.run(run_id="f1", command=program).status is RunStatus.FAILED
    foreign = tmp_path / "trees/of-another-session/main"
    foreign.mkdir(parents=True)
    (foreign / "large").write_bytes(b"x" * 5_000_000)
    with scene.open() as workspace:
        done = pruned(workspace, Budgets(1, 10**9, timedelta(days=30), 500))

    assert done.before_bytes < 5_000_000
    assert done.trees == 1
    assert (foreign / "large").exists()
    assert not (tmp_path / "trees/f1/main").exists()


def test_old_logs_are_compressed_before_they_go_and_the_one_in_use_stays(scene: Scene) -> None:
    place = OrchestratorPaths(scene.root).logs_dir
    line = b"2026-11-26 a line of a log\n"
    for number in (1, 2):
        (place / f"orchestrator.log.{number}").write_bytes(line * 20_000 * number)
    (place / "orchestrator.log").write_bytes(line)
    (place / "bug-20261126.txt").write_bytes(line)
    with scene.open() as workspace:
        total_bytes = pruned(workspace).before_bytes

        done = pruned(workspace, Budgets(total_bytes - 1, total_bytes, timedelta(days=30), 500))
        packed = sorted(path for path in place.iterdir() if path.suffix == ".gz")

        assert (done.logs, len(packed)) == (1, 2)
        assert sum(len(gzip.decompress(path.read_bytes())) for path in packed) == len(line) * 60_000
        assert pruned(workspace, Budgets(1, 10**9, timedelta(days=30), 500)).logs == 1
        assert sorted(
            path.name for path in place.iterdir() if not path.name.startswith("orchestrator.log.lock")
        ) == [
            "bug-20261126.txt",
            "orchestrator.log",
        ]


def test_logs_that_somebody_rotates_stay_for_this_time(scene: Scene) -> None:
    paths = OrchestratorPaths(scene.root)
    (paths.logs_dir / "orchestrator.log.1").write_bytes(b"x" * 5000)
    lock = FileLock(paths.logs_dir / "orchestrator.log.lock", what="the log", command="x")
    with scene.open() as workspace, lock:
        done = pruned(workspace, Budgets(1, 10**9, timedelta(days=30), 500))

    assert (done.logs, done.problems) == (0, [])
    assert (paths.logs_dir / "orchestrator.log.1").exists()


def test_a_session_that_was_adopted_after_the_look_stays(scene: Scene) -> None:
    from orchestrator.sessions.choosing import StateTree
    from orchestrator.workspace import open_beside

    root, other = OrchestratorPaths(scene.root), Here(detect({"CI": "1"}), "b2/ci/", (0, 0))
    left = identity.create(root, Disk(), Here(detect({"CI": "1"}), "b1/ci/", (0, 0)))
    with (
        scene.open() as workspace,
        open_beside(workspace, StateTree(root.of_session(left.id), left)) as first,
    ):
        identity.adopt(root, Disk(), left, other)

        done = prune(
            [Opened(left, first.context)],
            ROOMY,
            is_pushed=everything_is_pushed,
            here=HERE,
            now=datetime.now(UTC),
            report=lambda sentence: None,
        )

    assert done.sessions == []
    assert left.directory.is_dir()
