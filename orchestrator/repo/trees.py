"""Makes the trees agents work in: repositories that borrow the user's objects and share nothing else."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import Failed, Refused
from orchestrator.fs.disk import Disk
from orchestrator.fs.probe import boot_id
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.paths import names
from orchestrator.repo import borrowing, history, outage, scratch
from orchestrator.repo.git import Git
from orchestrator.repo.repository import Repository

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_READY = "ready.json"
_NEW = "new"
_SCRATCH = ".scratch"  # no run id starts with a dot


@dataclass(frozen=True, slots=True)
class IsolatedTree:
    """A tree at `path`, made for a run from the commit `base`.

    `sidecar` is our own directory beside it (receipt, scratch space): nothing in it is work.
    """

    path: Path
    run_id: RunId
    name: str
    base: ObjectId

    @property
    def sidecar(self) -> Path:
        """Returns the directory beside the tree that holds our notes about it."""
        return self.path.parent / f".{self.name}"

    def environment(self) -> dict[str, str]:
        """Returns what an agent's environment needs so that git never finds the user's from here."""
        return {"GIT_CEILING_DIRECTORIES": str(self.path.parent)}


class IsolatedTrees:
    """The isolated trees below one directory (`.orchestrator/worktrees`, or `worktrees.root`).

    The caller holds the lock of the run whose trees it makes or opens.
    """

    def __init__(self, repository: Repository, root: Path) -> None:
        self.repository = repository
        self.root = Path(os.path.abspath(root))

    def create(
        self, run_id: RunId, name: str, base: ObjectId, *, files: ObjectId | None = None
    ) -> IsolatedTree:
        """Returns the tree, made from the commit (or tree object) `base` unless it is there and ready.

        With `files` (a tree object) it holds those, as changes to `base` that nobody committed. It is built
        aside and takes its place by one rename, its receipt written before: a kill leaves no tree or a whole
        one, and the next call finishes.

        Raises:
            Refused: `tree-name-invalid`, or `tree-unknown`: something that is not ours stands in its place.
            GitFailed: the base cannot be checked out.
        """
        tree = self._named(run_id, name, base)
        if os.path.lexists(tree.path):
            return self.open(run_id, name)
        disk = Disk()
        disk.make_dir(tree.sidecar)
        disk.remove_tree(tree.sidecar / _NEW)
        scratch.sweep(tree.sidecar, everything=True)
        disk.sweep_temp(tree.sidecar)
        commit = self._pinned(run_id, base)
        made = IsolatedTree(tree.path, run_id, name, commit)
        borrowing.build(self.repository, tree.sidecar / _NEW, commit, files=files)
        disk.write(tree.sidecar / _READY, self._receipt(made))
        disk.rename(tree.sidecar / _NEW, tree.path)
        return made

    def open(self, run_id: RunId, name: str) -> IsolatedTree:
        """Returns a tree made before; after the repository was moved or copied it borrows from this one.

        Raises:
            Refused: `tree-unknown`, there is no tree of that name, or one that is not ours.
        """
        tree = self._named(run_id, name, ObjectId(""))
        base = _base_in(history.read_small(tree.sidecar / _READY))
        if base is None or not os.path.isdir(tree.path) or os.path.islink(tree.path):
            raise Refused(
                f"{tree.path} is not a tree this tool made.",
                code="tree-unknown",
                hint="Look at what stands there, and move it away.",
            )
        borrowing.repair(self.repository, tree.path)
        return IsolatedTree(tree.path, run_id, name, base)

    def is_of_this_boot(self, tree: IsolatedTree) -> bool:
        """Returns whether the machine has run on since the tree was made; True where nobody can tell.

        A tree is not durable, its checkpoints are: a power cut empties files written shortly before.
        """
        made, now = _boot_in(history.read_small(tree.sidecar / _READY)), boot_id()
        return made == now or not made or not now

    def put_back_emptied(self, tree: IsolatedTree, known: ObjectId) -> tuple[str, ...]:
        """Gives files that hold nothing (or only zero bytes) the content they have in the tree `known`.

        Returns their paths. Files that `known` has empty, that are gone, links, or behind links stay.
        """
        emptied = outage.emptied(self.repository, tree.path, known)
        if emptied:
            room = borrowing.scratch_for(self.repository, tree.sidecar)
            try:
                git = room.git(tree.path, trusted=self.repository.trusted)
                git.run("read-tree", known, mutates=True)
                listed = b"".join(path + b"\0" for path in emptied)
                git.run("checkout-index", "-f", "-z", "--stdin", input=listed, mutates=True, network=True)
            finally:
                room.remove()
        return tuple(os.fsdecode(path) for path in emptied)

    def list(self, run_id: RunId | None = None) -> tuple[IsolatedTree, ...]:
        """Returns the trees that are ready, by run and name; half-made ones are not among them."""
        found = []
        for receipt in sorted(self.root.glob(f"{run_id or '*'}/.*/{_READY}")):
            base = _base_in(history.read_small(receipt))
            tree = IsolatedTree(
                receipt.parent.parent / receipt.parent.name[1:],
                RunId(receipt.parent.parent.name),
                receipt.parent.name[1:],
                base or ObjectId(""),
            )
            if base is not None and tree.path.is_dir():
                found.append(tree)
        return tuple(found)

    def restore_into(self, path: Path, treeish: ObjectId) -> None:
        """Writes the files of a tree or commit into a directory that is missing or empty, without a `.git`.

        Raises:
            Refused: `restore-not-empty`, something is there already: it is never overwritten.
        """
        if os.path.lexists(path) and (os.path.islink(path) or not path.is_dir() or any(path.iterdir())):
            raise Refused(
                f"{path} is not empty, and nothing there is overwritten.",
                code="restore-not-empty",
                hint="Name a directory that does not exist yet.",
            )
        Disk().make_dir(path, mode=0o755)
        place = self.root / _SCRATCH
        scratch.sweep(place)
        room = borrowing.scratch_for(self.repository, place)
        try:
            git = room.git(path, trusted=self.repository.trusted)
            git.run("read-tree", "-m", "-u", treeish, mutates=True, network=True)
        finally:
            room.remove()

    def _named(self, run_id: RunId, name: str, base: ObjectId) -> IsolatedTree:
        if not _NAME.fullmatch(name) or not _NAME.fullmatch(run_id):
            raise Refused(
                f"{run_id}/{name} cannot name a tree.",
                code="tree-name-invalid",
                hint="Use up to 40 of a-z, 0-9 and -, starting with a letter or digit.",
            )
        return IsolatedTree(self.root / run_id / name, run_id, name, base)

    def _pinned(self, run_id: RunId, base: ObjectId) -> ObjectId:
        """Returns the commit that `base` is, or one that holds the tree.

        The first base of a run is kept from the user's gc; later ones are results with refs of their own.
        """
        name = f"{names.BASE_REFS}{run_id}"
        asked = f"{base}\n{name}\n".encode()
        done = self.repository.git.run("cat-file", "--batch-check=%(objecttype)", input=asked)
        kind, pinned = (line.rsplit(b" ", 1)[-1] for line in done.stdout.splitlines())
        commit = base if kind == b"commit" else borrowing.commit_of_tree(self.repository, base)
        if pinned == b"missing" and self.repository.read_ref(name) is None:
            self.repository.update_ref(name, commit, None)
        return commit

    def _receipt(self, tree: IsolatedTree) -> bytes:
        facts = {
            "schema_version": 1,
            "run_id": tree.run_id,
            "name": tree.name,
            "base": tree.base,
            "boot": boot_id(),
        }
        return json.dumps(facts, indent=1).encode() + b"\n"


def _facts_in(receipt: bytes) -> dict[str, object]:
    try:
        facts = json.loads(receipt)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _boot_in(receipt: bytes) -> str:
    return str(_facts_in(receipt).get("boot", ""))


def _base_in(receipt: bytes) -> ObjectId | None:
    base = _facts_in(receipt).get("base")
    return ObjectId(base) if isinstance(base, str) and re.fullmatch(r"[0-9a-f]{40,64}", base) else None


def git_in(tree: IsolatedTree) -> Git:
    """Returns git in the agent's own repository, with nothing of its configuration allowed to run."""
    return Git(tree.path, trusted=False, git_dir=tree.path / ".git", work_tree=tree.path)


def require(tree: IsolatedTree) -> None:
    """Raises Failed `tree-missing` when a tree is gone or is no longer a directory."""
    if not tree.path.is_dir() or tree.path.is_symlink():
        raise Failed(
            f"The tree {tree.path} is gone.",
            code="tree-missing",
            hint=f"See what is kept of it: orchestrator checkpoints {tree.run_id}",
        )
