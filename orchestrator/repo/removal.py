"""Removes what an agent or the user could have written: the one module that may (the deletion law).

Each function makes sure first that everything it removes stays reachable from `refs/orchestrator/` (or from
an exported bundle), refuses otherwise, and returns the command that brings it back.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import Failed, GitFailed, Refused
from orchestrator.fs.disk import Disk
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.paths import names
from orchestrator.repo import ref_locks
from orchestrator.repo.asking import OURS
from orchestrator.repo.export import holds, unmerged_runs
from orchestrator.repo.journal import Discard, Journal
from orchestrator.repo.repository import Repository
from orchestrator.repo.results import branch_ref, checked_out_at, result_ref
from orchestrator.repo.settle import is_ancestor

DISCARDED_REFS = names.DISCARDED_REFS


GONE = "gone"
"""What a tree is called among our notes beside it while it is removed."""

_BLOCK_BYTES = 1 << 20

LAST = (names.LOCKS, names.LAYOUT, names.IGNORE)
"""What goes last of `.orchestrator/`, in this order: by it an unfinished removal is known."""


@dataclass(frozen=True, slots=True)
class WayBack:
    """What was removed, in words, and the command that brings it back."""

    what: str
    command: str


def remove_tree(
    repository: Repository, path: Path, *, root: Path, run_id: RunId, checkpoint: Callable[[], ObjectId]
) -> WayBack:
    """Removes an isolated tree below `root` after `checkpoint` has kept all of it.

    Our notes beside it go too. `checkpoint` takes one now and returns its commit, which must be on the
    run's ref; when it fails, nothing is removed. The tree leaves its place in one step, so that nobody takes
    a checkpoint of a part of it; a kill leaves the rest among our notes, which `remove_notes` removes.

    Raises:
        Refused: `not-ours`, the path is not below `root`, or a link.
        Failed: `not-kept`, the checkpoint is not reachable; what `checkpoint` raises.
    """
    named = Path(os.path.abspath(path))
    place = named.parent.resolve() / named.name
    if root.resolve() not in place.parents or place.is_symlink():
        raise Refused(
            f"{path} is no isolated tree of a run.",
            code="not-ours",
            hint="List the trees with: orchestrator doctor",
        )
    commit = checkpoint()
    kept = repository.read_ref(names.RUN_REFS + run_id)
    if kept is None or not is_ancestor(repository, commit, kept):
        raise Failed(
            f"The checkpoint {commit[:12]} of {path} is not kept by any ref, so the tree stays.",
            code="not-kept",
            hint="Look at the run with: orchestrator doctor",
        )
    disk, notes = Disk(), place.parent / f".{place.name}"
    disk.make_dir(notes)
    disk.remove_tree(notes / GONE)
    disk.rename(place, notes / GONE)
    remove_notes(place)
    return WayBack(f"the tree {path}", f"orchestrator restore {commit} --into DIR")


def remove_notes(place: Path) -> None:
    """Removes what we kept beside a tree that is gone, and the run's directory with the last of them.

    The caller holds the run's lock. Where the tree still is, nothing is removed.
    """
    if os.path.lexists(place):
        return
    disk = Disk()
    disk.remove_tree(place.parent / f".{place.name}")
    if place.parent.is_dir() and not any(place.parent.iterdir()):
        disk.remove_tree(place.parent)


def discard(
    repository: Repository, run_id: RunId, *, recorded: ObjectId | None, record: Journal
) -> WayBack | None:
    """Takes a run's result branch and result away; both stay reachable and `undo` brings them back.

    `recorded` is the result as the state knows it. None when the run has neither branch nor result: nothing
    is recorded then. After a kill `settle` finishes it.

    Raises:
        Refused: `branch-not-ours`, the branch holds commits this run did not make; `branch-checked-out`.
        Failed: `ref-moved`, a ref moved in this very moment; it stays.
    """
    branch, result = branch_ref(run_id), result_ref(run_id)
    found = {name: repository.read_ref(name) for name in (branch, result)}
    refs = {name: oid for name, oid in found.items() if oid is not None}
    if not refs:
        return None
    tip = refs.get(result) or recorded
    if tip is None or (branch in refs and not is_ancestor(repository, refs[branch], tip)):
        raise Refused(
            f"The branch orchestrator/{run_id} holds commits that the run did not make.",
            code="branch-not-ours",
            hint=f"Keep them under another name first: git branch -m orchestrator/{run_id} NAME",
        )
    _require_not_checked_out(repository, branch)
    intent = Discard(refs=refs, pin=DISCARDED_REFS + run_id, tip=tip)
    record(intent.facts())
    _require_applied(apply_discard(repository, intent))
    return WayBack(f"the branch orchestrator/{run_id}", f"git branch orchestrator/{run_id} {tip}")


def undiscard(repository: Repository, discarded: Discard, record: Journal) -> Discard:
    """Brings back what `discard` took away, or (for what an undo brought back) takes it away again.

    Raises:
        Refused: `branch-taken`, another branch has the name by now; `branch-not-ours`, `branch-checked-out`.
    """
    intent = discarded.model_copy(update={"restores": not discarded.restores})
    for name, oid in intent.refs.items():
        found = repository.read_ref(name)
        if intent.restores and found not in (None, oid):
            raise Refused(
                f"{name} is at {found} by now.",
                code="branch-taken",
                hint=f"Take the old one under another name: git branch NAME {oid}",
            )
        if not intent.restores and found != oid:
            raise Refused(
                f"{name} is not at {oid[:12]} any more.",
                code="branch-not-ours",
                hint="Look at it with: git log " + name,
            )
        if not intent.restores:
            _require_not_checked_out(repository, name)
    record(intent.facts())
    _require_applied(apply_discard(repository, intent))
    return intent


def apply_discard(repository: Repository, intent: Discard) -> tuple[str, ...]:
    """Does what a recorded discard (or its undo) says, from wherever a kill stopped it.

    Returns the refs that somebody else moved meanwhile and that were left where they are.
    """
    left = []
    if not intent.restores:
        pinned = repository.read_ref(intent.pin)
        if pinned != intent.tip:
            repository.update_ref(intent.pin, intent.tip, pinned)
    for name, oid in intent.refs.items():
        found = repository.read_ref(name)
        if intent.restores and found is None:
            repository.update_ref(name, oid, None)
        elif not intent.restores and found == oid:
            remove_ref(repository, name, oid)
        elif found is not None and found != oid:
            left.append(name)
    pinned = repository.read_ref(intent.pin)
    if intent.restores and pinned is not None and not left:
        remove_ref(repository, intent.pin, pinned)
    return tuple(left)


def _require_applied(left: tuple[str, ...]) -> None:
    if left:
        raise Failed(
            f"{left[0]} was moved in this very moment and stays.",
            code="ref-moved",
            hint=f"Look at it with: git log {left[0]}",
        )


def remove_ref(repository: Repository, name: str, old: ObjectId) -> WayBack:
    """Removes one of our refs by compare-and-swap; the caller made sure that its commits stay reachable.

    Raises:
        Failed: `ref-moved`, the ref is not at `old`; it stays.
        ValueError: the ref is not one of ours.
    """
    if not name.startswith(OURS):
        raise ValueError(f"{name} is not ours to remove")
    words = ("update-ref", "--no-deref", "-d", name, old)
    done = ref_locks.deleting(
        repository, name, lambda: repository.git.run(*words, ok=(0, 1, 128), mutates=True)
    )
    if done.status != 0:
        found = repository.read_ref(name)
        if found == old:
            raise GitFailed(
                command="update-ref", status=done.status, stderr=done.stderr.decode("utf-8", "replace")
            )
        raise Failed(
            f"{name} is at {found or 'nothing'}, not at {old} as it was before, so it stays.",
            code="ref-moved",
            hint="Somebody else moved it. Look at it with: git log " + name,
        )
    repository.sync_ref(name)
    return WayBack(name, f"git update-ref {name} {old}")


def remove_archived_refs(repository: Repository, refs: Mapping[str, ObjectId]) -> None:
    """Removes refs of pruned runs, all that the archive reaches; `orchestrator restore RUN` brings them back.

    The caller holds the locks of the runs and of the repository. A kill leaves all of them, or some where a
    killed git had left locks; a second call removes the rest.

    Raises:
        Failed: `not-kept`, the archive does not reach one of them; `ref-moved`. Nothing is lost.
    """
    wanted = "".join(f"{oid}\n" for oid in sorted(set(refs.values())))
    if not wanted:
        return
    kept = "".join(f"^{oid}\n" for oid in repository.refs(names.ARCHIVE_REFS).values())
    missing = repository.git.run("rev-list", "--max-count=1", "--stdin", input=(wanted + kept).encode())
    if missing.stdout:
        raise Failed(
            f"The archive does not reach {missing.stdout.decode()[:12]}, so its refs stay.",
            code="not-kept",
            hint="Look at what is there: orchestrator doctor",
        )
    words = "".join(f"delete {name} {oid}\n" for name, oid in refs.items()).encode()
    done = ref_locks.deleting(
        repository,
        next(iter(refs)),
        lambda: repository.git.run(
            "update-ref", "--no-deref", "--stdin", input=words, ok=(0, 1, 128), mutates=True
        ),
    )
    if done.status != 0:
        for name, oid in refs.items():
            if repository.read_ref(name) is not None:
                remove_ref(repository, name, oid)
    for name in {name.rpartition("/")[0]: name for name in refs}.values():
        repository.sync_ref(name)


def remove_outputs(place: Path, *, root: Path) -> int:
    """Removes the outputs of one ended run, or the logs of a session, and returns their bytes.

    They are records of ours, no work: the tree, its history and what the run proved are in its checkpoints
    and its document. Nothing brings them back. The caller holds the run's lock.

    Raises:
        Refused: `not-ours`, the path is not directly below `root`, or a link.
    """
    if place.parent != root or place.name in (".", "..") or place.is_symlink():
        raise Refused(
            f"{place} is not where outputs are kept.",
            code="not-ours",
            hint="Look at what stands there, and move it away.",
        )
    size_bytes = tree_bytes(place)
    Disk().remove_tree(place)
    return size_bytes


def remove_packed(original: Path, packed: Path) -> None:
    """Removes an output that stands compressed beside itself, after unpacking it once to compare.

    Raises:
        Failed: `not-kept`, what was packed is not what stands there; both stay.
    """
    with open(original, "rb") as plain, gzip.open(packed, "rb") as unpacked:
        while block := plain.read(_BLOCK_BYTES):
            if unpacked.read(len(block)) != block:
                break
        else:
            if not unpacked.read(1):
                Disk().remove(original)
                return
    raise Failed(
        f"{packed} does not hold what {original} does, so both stay.",
        code="not-kept",
        hint="Look at them, and remove one.",
    )


def remove_papers(artifacts: Path, manifest: Path, *, root: Path) -> int:
    """Removes the outputs of an archived run and the list of its checkpoints, which the archive tells again.

    Returns their bytes. The caller holds the run's lock.

    Raises:
        Refused: `not-ours`.
    """
    size_bytes = remove_outputs(artifacts, root=root)
    Disk().remove(manifest)
    return size_bytes


def tree_bytes(place: Path) -> int:
    """Returns the bytes of all files below a directory, following no link; 0 where there is none."""
    total = 0
    for directory, _, files in os.walk(place):
        for name in files:
            try:
                total += os.lstat(os.path.join(directory, name)).st_size
            except OSError:
                continue  # removed meanwhile
    return total


def remove_session(directory: Path, *, root: Path, runs: int) -> int:
    """Removes the state tree of a session that knows no run any more, and returns its bytes.

    The caller made sure that nobody works in it. `identity.json` and the database go last, so that a kill
    leaves a session that a second call removes.

    Raises:
        Refused: `not-ours`, it is no session of this `.orchestrator/`; `session-in-use`, it holds runs.
    """
    if (
        directory.parent != root
        or directory.name == ".."
        or directory.is_symlink()
        or root.name != names.SESSIONS
    ):
        raise Refused(
            f"{directory} is no session.", code="not-ours", hint="List them with: orchestrator sessions list"
        )
    if runs:
        raise Refused(
            f"The session {directory.name} holds {runs} runs.",
            code="session-in-use",
            hint="Archive them first: orchestrator prune",
        )
    size_bytes, disk = tree_bytes(directory), Disk()
    last = (names.LOCKS, names.STATE, names.IDENTITY)
    for name in sorted(set(os.listdir(directory)) - set(last)):
        disk.remove_tree(directory / name)
    for name in last:
        disk.remove_tree(directory / name)
    disk.remove_tree(directory)
    return size_bytes


def remove_refs(
    repository: Repository, refs: Mapping[str, ObjectId], *, exported: Path | None
) -> tuple[WayBack, ...]:
    """Removes refs of ours for good, as `deinit` does; a kill leaves some of them for a second call.

    With `exported`, a bundle that must hold every one of them; without, no run may hold unmerged work.

    Raises:
        Refused: `not-exported`, `unmerged`, `branch-checked-out`; nothing was removed.
        Failed: `ref-moved`.
    """
    require_removable(repository, refs, exported=exported)
    ways = []
    for name in sorted(refs, key=_removal_order):
        oid = refs[name]
        way = remove_ref(repository, name, oid)
        ways.append(way if exported is None else WayBack(name, _from_bundle(exported, name)))
    ref_locks.tidy(repository)
    return tuple(ways)


def _removal_order(name: str) -> tuple[int, str]:
    # Result and base tell that a run's work is merged: without them a second call would refuse.
    order = (names.RUN_REFS, names.RESULT_REFS, names.BRANCHES, names.BASE_REFS)
    places = [place for place, prefix in enumerate(order) if name.startswith(prefix)]
    return (places[0] if places else 0), name


def require_removable(repository: Repository, refs: Mapping[str, ObjectId], *, exported: Path | None) -> None:
    """Makes sure that removing `refs` loses no work and that no worktree stands on one of them.

    Raises:
        Refused: `not-exported`, `unmerged`, `branch-checked-out`.
    """
    require_kept(repository, refs, exported=exported)
    for name in refs:
        _require_not_checked_out(repository, name)


def forget_incoming(repository: Repository, known: Mapping[str, ObjectId]) -> None:
    """Removes, of the refs in `known`, those under which saves were fetched to be looked at.

    The remote has them still; one that was taken up has a ref of its own by now. A kill leaves some, which
    the next call removes.
    """
    found = {name: oid for name, oid in known.items() if name.startswith(names.INCOMING_REFS)}
    if found:
        words = "".join(f"delete {name} {oid}\n" for name, oid in found.items()).encode()
        repository.git.run("update-ref", "--no-deref", "--stdin", input=words, mutates=True)


def require_kept(repository: Repository, refs: Mapping[str, ObjectId], *, exported: Path | None) -> None:
    """Makes sure that removing `refs` loses no work: a bundle holds them, or it is merged.

    Raises:
        Refused: `not-exported`, the bundle lacks a ref; `unmerged`, naming the runs.
    """
    if exported is not None:
        held = holds(repository, exported)
        missing = [name for name, oid in refs.items() if held.get(name) != oid]
        if missing:
            raise Refused(
                f"{exported} does not hold {missing[0]}, so nothing was removed.",
                code="not-exported",
                hint="Export again: orchestrator deinit --export FILE",
            )
        return
    runs = unmerged_runs(repository)
    if runs:
        raise Refused(
            f"Work of these runs is not merged: {', '.join(runs)}.",
            code="unmerged",
            hint="Merge or export it first: orchestrator deinit --export FILE",
        )


def remove_orchestrator_dir(path: Path, *, exported: Path | None, keep: Collection[str] = ()) -> WayBack:
    """Removes the whole `.orchestrator/`; the caller has removed or kept the refs and holds every lock.

    Names directly below it that are in `keep` stay. Not atomic: a kill leaves a part for a second call, and
    the names in `LAST`, by which it is known as ours, go last.

    Raises:
        Refused: `not-ours`, it is a link or has another name.
    """
    if path.name != names.DIRECTORY or path.is_symlink():
        raise Refused(
            f"{path} is not a directory of ours.",
            code="not-ours",
            hint="Look at what stands there, and move it away.",
        )
    disk = Disk()
    last = [name for name in LAST if name not in keep]
    found = set(os.listdir(path)) if path.is_dir() else set()
    for name in sorted(found - set(keep) - set(last)):
        disk.remove_tree(path / name)
    for name in last:
        disk.remove_tree(path / name)
    if not keep:
        disk.remove_tree(path)
    if exported is None:
        return WayBack(str(path), "orchestrator init")
    return WayBack(str(path), f"{_from_bundle(exported, '*')} && orchestrator doctor --recover")


def _from_bundle(exported: Path, name: str) -> str:
    wanted = "refs/*" if name == "*" else name
    return f"git fetch {exported} '{wanted}:{wanted}'"


def _require_not_checked_out(repository: Repository, branch: str) -> None:
    place = checked_out_at(repository, branch)
    if place is not None:
        raise Refused(
            f"{branch.removeprefix('refs/heads/')} is checked out in {place}.",
            code="branch-checked-out",
            hint=f"Switch to another branch there: git -C {place} switch -",
        )
