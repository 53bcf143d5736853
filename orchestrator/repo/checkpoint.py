"""Keeps everything an agent made as one commit that our ref in the user's repository reaches."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.errors import Failed, GitFailed
from orchestrator.fs.disk import Disk
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.model.json import JsonObject
from orchestrator.model.record import Checkpoint, Leak
from orchestrator.paths import OrchestratorPaths, names
from orchestrator.redaction.redactor import Redactor
from orchestrator.repo import asking, borrowing, history, scratch
from orchestrator.repo import tips as tipping
from orchestrator.repo.git import Git, split
from orchestrator.repo.leaks import find_leaks
from orchestrator.repo.repository import Repository
from orchestrator.repo.scratch import Scratch
from orchestrator.repo.snapshot import Snapshot, Snapshots, Wanted
from orchestrator.repo.trees import IsolatedTree, IsolatedTrees, require

_TRAILERS = re.compile(r"^Orchestrator-(Number|Tree|Local): (\S+)$", re.MULTILINE)
_NUMBER = re.compile(r"[0-9]{1,9}")
_OBJECT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_FORMAT = "--format=%H%n%ct%n%an%n%B"


@dataclass(frozen=True, slots=True)
class _Draft:
    """What a checkpoint will say and follow, whatever its files turn out to be."""

    run_id: RunId
    label: str
    document: JsonObject
    previous: Checkpoint | None
    tree: IsolatedTree


def _ignore(sentence: str) -> None:
    """Takes no notice."""


class Checkpoints:
    """The checkpoints of all runs: a chain of commits for each, at `refs/orchestrator/runs/<run-id>`."""

    def __init__(
        self,
        repository: Repository,
        paths: OrchestratorPaths,
        trees: IsolatedTrees,
        redactor: Redactor | None = None,
    ) -> None:
        self.redactor = redactor or Redactor()
        self.repository = repository
        self.paths = paths
        self.trees = trees

    def take(
        self,
        tree: IsolatedTree,
        *,
        run_id: RunId,
        document: JsonObject,
        label: str,
        include: Iterable[str] = (),
        brought: Iterable[str] = (),
        report: Callable[[str], None] = _ignore,
        only_changed: bool = False,
    ) -> Checkpoint:
        """Returns the new checkpoint: files, index, HEAD, refs, stash and reflog of the tree, and `document`.

        `include` are patterns of ignored files that are work; `brought` paths that are in no checkpoint.
        `report` hears of everything that could not be kept. Reads the tree without running anything of it;
        durable when it returns; a kill leaves the checkpoint before. The caller holds the run's lock. With
        `only_changed` the checkpoint before is returned where the files are still those in it.

        Raises:
            Failed: `tree-missing`; `ref-moved`, somebody else took a checkpoint of this run.
            GitFailed, DiskFailed: the objects could not be written.
        """
        require(tree)
        scratch.sweep(tree.sidecar, everything=True)
        wanted = Wanted(include=tuple(include), brought=tuple(brought))
        files = history.git_files(tree.path, inside=Path(os.path.realpath(tree.path)))
        if files is None:
            report("the tree's git directory is gone: only its files are kept")
        room = borrowing.scratch_for(
            self.repository, tree.sidecar, more_objects=(files.objects,) if files else ()
        )
        try:
            return self._take(
                tree, run_id, document, label, wanted, files, room, report, only_changed=only_changed
            )
        finally:
            room.remove()

    def _take(
        self,
        tree: IsolatedTree,
        run_id: RunId,
        document: JsonObject,
        label: str,
        wanted: Wanted,
        files: history.GitFiles | None,
        room: Scratch,
        report: Callable[[str], None],
        *,
        only_changed: bool,
    ) -> Checkpoint:
        previous = self.newest(run_id)
        root = Path(os.path.realpath(tree.path))
        trusted = self.repository.trusted
        snapshots = Snapshots(room, root, trusted=trusted, report=report)
        snapshot = snapshots.take(tree.path, files, tree.base, wanted)
        if only_changed and previous is not None and previous.tree == snapshot.tree:
            return previous
        tips = self._tips(tree, files, room, wanted, snapshot, previous, report)
        draft = _Draft(run_id, self.redactor.text(label), document, previous, tree)
        try:
            taken = self._write(room, draft, snapshot, tips)
            self._publish(run_id, room, taken.commit)
        except GitFailed as error:
            if self.repository.read_ref(_ref(run_id)) != (previous.commit if previous else None):
                raise _moved(run_id) from error
            snapshots = Snapshots(room, root, trusted=trusted, report=report, afresh=True)
            snapshot = snapshots.take(tree.path, files, tree.base, wanted)
            git = room.git(tree.path, trusted=False)
            _drop_broken(git, snapshot, tips, report)
            taken = self._write(room, draft, snapshot, tips)
            self._publish(run_id, room, taken.commit)
        self._write_manifest(run_id, taken)
        return taken

    def _write(self, room: Scratch, draft: _Draft, snapshot: Snapshot, tips: tipping.Tips) -> Checkpoint:
        """Returns the checkpoint as objects of `room`, marked when it, or one before, holds a known value."""
        was_local = draft.previous is not None and draft.previous.local_only
        taken = self._commit(room, draft, snapshot, tips, local_only=was_local)
        known = [draft.tree.base, *((draft.previous.commit,) if draft.previous else ())]
        git = room.git(draft.tree.path, trusted=False)
        leaks = find_leaks(git, self.redactor, [taken.commit], known)
        if leaks and not was_local:
            taken = self._commit(room, draft, snapshot, tips, local_only=True)
        return replace(taken, leaks=leaks)

    def _commit(
        self, room: Scratch, draft: _Draft, snapshot: Snapshot, tips: tipping.Tips, *, local_only: bool
    ) -> Checkpoint:
        document = {**draft.document, "local_only": True} if local_only else draft.document
        content = _assemble(room, snapshot, tips, document)
        number = draft.previous.number + 1 if draft.previous else 1
        message = _message(number, draft.label, snapshot.tree, local_only=local_only)
        parents = self._parents(draft.tree, draft.previous, tips)
        data = borrowing.commit_bytes(content, parents, message)
        return Checkpoint(
            commit=room.put("commit", data),
            tree=snapshot.tree,
            run_id=draft.run_id,
            number=number,
            label=message.split("\n", 1)[0],
            at=borrowing.committed_at(data),
            local_only=local_only,
        )

    def leaks_in(self, tree: ObjectId, base: ObjectId) -> tuple[Leak, ...]:
        """Returns where known values stand in the files of a tree that the commit `base` does not have."""
        return find_leaks(self.repository.git, self.redactor, [tree], [base], inside="")

    def _tips(
        self,
        tree: IsolatedTree,
        files: history.GitFiles | None,
        room: Scratch,
        wanted: Wanted,
        snapshot: Snapshot,
        previous: Checkpoint | None,
        report: Callable[[str], None],
    ) -> tipping.Tips:
        if files is None:
            tips = tipping.Tips()
        else:
            git = room.git(tree.path, trusted=False, index="index-of-tips")
            known = {tree.base} | ({previous.commit} if previous else set())
            mirrored = {oid for name, oid in history.refs(self.repository.common_dir).items()}
            tips = tipping.find_tips(git, files, known | mirrored, report=report)
            tipping.without_brought(git, room, tips, known, wanted.brought, report)
        tips.parents += [head for head in snapshot.heads if head not in tips.parents]
        return tips

    def _parents(
        self, tree: IsolatedTree, previous: Checkpoint | None, tips: tipping.Tips
    ) -> tuple[ObjectId, ...]:
        first = previous.commit if previous else tree.base
        return (first, *(parent for parent in tips.parents if parent != first))

    def _publish(self, run_id: RunId, room: Scratch, commit: ObjectId) -> None:
        branch = room.set_branch("checkpoint", commit)
        borrowing.fetch(self.repository, room.path, f"{branch}:{_ref(run_id)}")

    def list_checkpoints(self, run_id: RunId) -> tuple[Checkpoint, ...]:
        """Returns the checkpoints of a run, newest first; none for a run that has none."""
        return self._chain(run_id, self._log(run_id, "-z", "--first-parent"))

    def list_from(self, run_id: RunId, tip: str) -> tuple[Checkpoint, ...]:
        """Returns the checkpoints of a run that end in `tip`, newest first; for one that is archived."""
        listed = self.repository.git.run("log", "-z", "--first-parent", _FORMAT, tip, "--").stdout
        return self._chain(run_id, listed)

    def _log(self, run_id: RunId, *words: str) -> bytes:
        """Returns what `log` says of the commits of a run, nothing where its ref is missing."""
        words = ("log", *words, _FORMAT, _ref(run_id), "--")
        done = self.repository.git.run(*words, ok=(0, 128))
        if done.status != 0 and self.repository.read_ref(_ref(run_id)) is not None:
            raise asking.failure("log", done)
        return done.stdout if done.status == 0 else b""

    def _chain(self, run_id: RunId, listed: bytes) -> tuple[Checkpoint, ...]:
        found = []
        for item in split(listed):
            checkpoint = _parsed(run_id, item.decode("utf-8", "replace"))
            if checkpoint is None:
                break
            found.append(checkpoint)
            if checkpoint.number == 1:
                break
        return tuple(found)

    def newest(self, run_id: RunId) -> Checkpoint | None:
        """Returns the newest checkpoint of a run, None for a run that has none."""
        return _parsed(run_id, self._log(run_id, "-1").decode("utf-8", "replace"))

    def _read(self, run_id: RunId, commit: ObjectId) -> Checkpoint:
        text = self.repository.git.text("log", "-1", _FORMAT, commit, "--")
        found = _parsed(run_id, text)
        if found is None:
            raise Failed(
                f"{commit} is not a checkpoint.",
                code="checkpoint-unknown",
                hint="List them: orchestrator checkpoints",
            )
        return found

    def find(self, run_id: RunId, commit: ObjectId) -> Checkpoint:
        """Returns one checkpoint by its commit.

        Raises:
            Failed: `checkpoint-unknown`, the commit is something else.
        """
        return self._read(run_id, commit)

    def read_document(self, commit: ObjectId) -> JsonObject:
        """Returns the `run.json` of a checkpoint; it comes from a ref, so nobody vouches for it.

        Raises:
            Failed: `checkpoint-unreadable`, there is none or it is no JSON object.
        """
        done = self.repository.git.run("cat-file", "blob", f"{commit}:run.json", ok=(0, 128))
        try:
            document = json.loads(done.stdout) if done.status == 0 else None
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise Failed(
                f"The checkpoint {commit} holds no readable description of its run.",
                code="checkpoint-unreadable",
                hint=f"Its files can still be taken back: orchestrator restore {commit} --into DIR",
            )
        return document

    def restore(self, checkpoint: Checkpoint, into: Path) -> None:
        """Writes the work tree of a checkpoint into a directory that is missing or empty.

        Raises:
            Refused: `restore-not-empty`.
        """
        self.trees.restore_into(into, checkpoint.tree)

    def checkpoint_user_tree(self, run_id: RunId, *, report: Callable[[str], None] = _ignore) -> ObjectId:
        """Returns a commit on HEAD with the uncommitted changes of the checkout, kept as the run's base.

        Reads through a copy of the user's index; neither index nor HEAD nor a file of the checkout changes.

        Raises:
            Refused: `no-commit`.
        """
        repository = self.repository
        head = repository.resolve("HEAD")
        place = self.paths.tmp_dir
        scratch.sweep(place)
        room = borrowing.scratch_for(repository, place)
        try:
            files = history.GitFiles(repository.git_dir, repository.common_dir)
            root = Path(os.path.realpath(repository.checkout))
            snapshots = Snapshots(room, root, trusted=repository.trusted, report=report)
            snapshot = snapshots.take(repository.checkout, files, head, Wanted(skip=(names.DIRECTORY,)))
            if snapshot.tree == repository.tree_of(head):
                return head
            message = "uncommitted changes of the checkout, as the base of a run\n"
            commit = room.put("commit", borrowing.commit_bytes(snapshot.tree, (head,), message))
            branch = room.set_branch("base", commit)
            borrowing.fetch(repository, room.path, f"{branch}:{names.BASE_REFS}{run_id}")
        finally:
            room.remove()
        return commit

    def restore_manifest(self, run_id: RunId, known: Sequence[Checkpoint] | None = None) -> bool:
        """Writes the readable list of a run's checkpoints where it is missing; returns whether it did.

        With `known`, which the caller has listed newest first, it takes the place of another.
        """
        found = self.list_checkpoints(run_id) if known is None else known
        if not found or (known is None and os.path.lexists(self.paths.checkpoint_manifest(run_id))):
            return False
        self._write_manifest(run_id, found[0], found)
        return True

    def _write_manifest(
        self, run_id: RunId, newest: Checkpoint, known: Sequence[Checkpoint] | None = None
    ) -> None:
        place = self.paths.checkpoint_manifest(run_id)
        entries: Sequence[object] = _entries(history.read_small(place))
        if known is not None or len(entries) != newest.number - 1:
            listed = self.list_checkpoints(run_id) if known is None else known
            entries = [_entry(each) for each in reversed(listed)][: newest.number - 1]
        content = {"schema_version": 1, "run_id": run_id, "checkpoints": [*entries, _entry(newest)]}
        text = json.dumps(content, indent=1)
        disk = Disk()
        disk.make_dir(place.parent)
        disk.sweep_temp(place.parent)
        disk.write(place, text.encode() + b"\n")


def _ref(run_id: RunId) -> str:
    return f"{names.RUN_REFS}{run_id}"


def _moved(run_id: RunId) -> Failed:
    return Failed(
        f"{_ref(run_id)} moved while a checkpoint was taken.",
        code="ref-moved",
        hint=f"Look at what is there: orchestrator checkpoints {run_id}",
    )


def _drop_broken(git: Git, snapshot: Snapshot, tips: tipping.Tips, report: Callable[[str], None]) -> None:
    """Leaves out what cannot be read completely, so that the rest is kept."""
    tips.parents = tipping.whole(git, tips.parents, report)
    tips.loose = {name: entry for name, entry in tips.loose.items() if tipping.whole(git, [entry[1]], report)}
    if snapshot.staged is not None and not tipping.whole(git, [snapshot.staged], report):
        snapshot.staged = None
    snapshot.unmerged = tuple(stage for stage in snapshot.unmerged if tipping.whole(git, [stage[1]], report))


def _assemble(room: Scratch, snapshot: Snapshot, tips: tipping.Tips, document: JsonObject) -> ObjectId:
    text = json.dumps(document, ensure_ascii=True, sort_keys=True, indent=1).encode() + b"\n"
    entries = [
        ("40000", "tree", snapshot.tree),
        ("100644", "run.json", room.put("blob", text)),
    ]
    if tips.named:
        entries.append(("100644", "refs", room.put("blob", tipping.as_text(tips.named))))
    if snapshot.staged is not None:
        entries.append(("40000", "index", snapshot.staged))
    folders: dict[str, list[tuple[str, str, ObjectId]]] = {
        "conflicts": _numbered(room, [(mode, name, oid) for name, oid, mode in snapshot.unmerged]),
        "submodules": _numbered(room, [("40000", name, oid) for name, oid in snapshot.submodules.items()]),
        "objects": [(mode, name, oid) for name, (mode, oid) in tips.loose.items()],
        "tags": [("100644", name, room.put("blob", data)) for name, data in tips.tags.items()],
    }
    for name, content in folders.items():
        if content:
            entries.append(("40000", name, _tree(room, content)))
    return _tree(room, entries)


def _numbered(room: Scratch, content: list[tuple[str, str, ObjectId]]) -> list[tuple[str, str, ObjectId]]:
    """Returns entries named by number, and a file `names` that says which path each stands for."""
    if not content:
        return []
    listing = "".join(f"{number}\0{name}\0" for number, (_, name, _) in enumerate(content))
    listed = room.put("blob", listing.encode("utf-8", "surrogateescape"))
    numbered = [(mode, str(number), oid) for number, (mode, _, oid) in enumerate(content)]
    return [*numbered, ("100644", "names", listed)]


def _tree(room: Scratch, entries: list[tuple[str, str, ObjectId]]) -> ObjectId:
    ordered = sorted(entries, key=lambda entry: entry[1] + ("/" if entry[0] == "40000" else ""))
    data = b"".join(f"{mode} {name}".encode() + b"\0" + bytes.fromhex(oid) for mode, name, oid in ordered)
    return room.put("tree", data)


def _message(number: int, label: str, tree: ObjectId, *, local_only: bool) -> str:
    title = " ".join(label.split()) or "checkpoint"
    mark = "Orchestrator-Local: true\n" if local_only else ""
    return f"{title}\n\nOrchestrator-Number: {number}\nOrchestrator-Tree: {tree}\n{mark}"


def _parsed(run_id: RunId, text: str) -> Checkpoint | None:
    """Returns the checkpoint that a commit is; None where it says what none of ours can say."""
    commit, stamp, author, message = ([*text.split("\n", 3), "", "", ""])[:4]
    facts = dict(_TRAILERS.findall(message))
    is_ours = author == "orchestrator" and _NUMBER.fullmatch(facts.get("Number", ""))
    at = _time(stamp)
    if not is_ours or at is None or not _OBJECT_ID.fullmatch(facts.get("Tree", "")):
        return None
    return Checkpoint(
        commit=ObjectId(commit.strip()),
        tree=ObjectId(facts["Tree"]),
        run_id=run_id,
        number=int(facts["Number"]),
        label=message.split("\n", 1)[0],
        at=at,
        local_only=facts.get("Local") == "true",
    )


def _time(stamp: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(stamp), UTC)
    except (ValueError, OverflowError, OSError):
        return None  # a commit from elsewhere may be of any year


def _entry(checkpoint: Checkpoint) -> dict[str, str | int]:
    mark = {"local_only": True} if checkpoint.local_only else {}
    return {
        "number": checkpoint.number,
        "commit": checkpoint.commit,
        "tree": checkpoint.tree,
        "label": checkpoint.label,
        "at": checkpoint.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        **mark,
    }


def _entries(text: bytes) -> list[object]:
    try:
        found = json.loads(text)["checkpoints"]
    except (ValueError, KeyError, TypeError):
        return []
    return found if isinstance(found, list) else []
