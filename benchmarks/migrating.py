"""What a migration costs against one look at every file, and a copy against `cp -a`; start-up not counted."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from benchmarks.place import Place, Sizes
from benchmarks.rounds import Action, Result, interleave
from orchestrator.fs.disk import Disk
from orchestrator.migrate.catalogue import load_catalogue
from orchestrator.migrate.migration import Migrator
from orchestrator.migrate.mover import Move, Mover
from orchestrator.paths import OrchestratorPaths
from orchestrator.state.layout import create_layout

_FILES_A_DIRECTORY = 100
_OLD = ".wfo_logs"
_SHARED_MEMORY = "/dev/shm"
_SCAN = "a scandir and lstat of the same tree"


def migrate(place: Place, sizes: Sizes, rounds: int) -> list[Result]:
    """Measures dry run, migration, rollback and the move alone, of many small files on one file system."""
    repository = place.repository("migrate", 3)
    old = repository / _OLD
    small_files(old, sizes.legacy_files)
    migrator = Migrator(repository, catalogue=load_catalogue(), disk=Disk(), make_layout=_make_layout)
    aside = Move(os.fspath(old), os.fspath(repository / "moved"), "bench")
    back = Move(aside.target, aside.source, "bench")

    def take_back() -> None:
        if not old.exists():
            migrator.take_back()

    def take_over() -> None:
        if old.exists():
            migrator.migrate()

    def there_and_back() -> None:
        Mover(Disk()).move(aside)
        Mover(Disk()).move(back)

    actions: dict[str, Action] = {
        "scan": lambda: _look_at_all(os.fspath(old)),
        "preview": lambda: _demand(migrator.preview().pending),
        "migrate": lambda: _demand(migrator.migrate().did == "migrated"),
        "rollback": lambda: _demand(migrator.take_back().did == "rolled-back"),
        "moves": there_and_back,
    }
    before: dict[str, Action] = {name: take_over if name == "rollback" else take_back for name in actions}
    timings = interleave(actions, rounds, before=before)
    files = f"{sizes.legacy_files:,} small files"

    def row(what: str, of: str, goal: float) -> Result:
        return timings.ratio("migrate", f"{what}, {files}, to {_SCAN}", of=of, to="scan", goal=goal)

    return [
        row("dry run", "preview", 1.3),
        row("whole migration", "migrate", 1.6),
        row("rollback", "rollback", 1.6),
        row("two moves (there and back)", "moves", 0.02),
    ]


def carry(place: Place, sizes: Sizes, rounds: int) -> list[Result]:
    """Measures the copy to another file system, hashes verified, against `cp -a` and a sync of that system.

    The files come from a tmpfs where there is one; elsewhere the copy stays on one file system.
    """
    with _elsewhere(place.root) as other:
        source, again = Path(other, "carry"), os.path.join(other, "again")
        small_files(source, sizes.carried_files)
        theirs, ours, moved = (os.path.join(place.root, name) for name in ("theirs", "ours", "moved"))

        def clear() -> None:
            for path in (theirs, ours, moved, again):
                shutil.rmtree(path, ignore_errors=True)

        def copied() -> None:
            clear()
            shutil.copytree(source, again, symlinks=True)

        actions: dict[str, Action] = {
            "cp": lambda: _copy_as_cp(os.fspath(source), theirs, place.environment),
            "carry": lambda: Disk().carry(source, ours),
            "move": lambda: Mover(Disk()).move(Move(again, moved, "bench")),
        }
        timings = interleave(
            actions, rounds, before={name: copied if name == "move" else clear for name in actions}
        )
    floor = f"`cp -a` and a sync, {sizes.carried_files:,} files"
    return [
        timings.ratio("carry", f"copy with hashes verified, to {floor}", of="carry", to="cp", goal=1.15),
        timings.ratio("carry", f"the same and the removal of the old, to {floor}", of="move", to="cp"),
    ]


def small_files(top: Path, count: int) -> None:
    """Makes `count` files of a few hundred bytes in directories of 100."""
    for number in range(count):
        directory = top / f"part{number // _FILES_A_DIRECTORY}"
        if number % _FILES_A_DIRECTORY == 0:
            directory.mkdir(parents=True)
        (directory / f"file{number}.log").write_bytes(b"line %d\n" % number * (10 + number % 30))


def _look_at_all(top: str) -> None:
    stack = [top]
    while stack:
        with os.scandir(stack.pop()) as entries:
            for entry in entries:
                os.lstat(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)


def _copy_as_cp(source: str, target: str, environment: dict[str, str]) -> None:
    for words in (["cp", "-a", "--", source, target], ["sync", "-f", target]):
        subprocess.run(words, env=environment, check=True)


def _elsewhere(root: Path) -> AbstractContextManager[str]:
    if os.path.isdir(_SHARED_MEMORY) and os.access(_SHARED_MEMORY, os.W_OK):
        return tempfile.TemporaryDirectory(prefix="orchestrator-bench-", dir=_SHARED_MEMORY)
    return nullcontext(os.fspath(root))


def _make_layout(directory: Path) -> None:
    create_layout(OrchestratorPaths(directory), Disk(), private=False, workflow_yaml=None)


def _demand(done: bool) -> None:
    if not done:
        raise RuntimeError("what was to be measured did not happen")
