"""Builds a repository that borrows the user's objects, takes over what must be equal, and checks out."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.errors import GitFailed
from orchestrator.fs.disk import Disk
from orchestrator.model.ids import ObjectId
from orchestrator.repo import history, scratch
from orchestrator.repo.git import Git
from orchestrator.repo.repository import Repository
from orchestrator.repo.settings import Pairs, as_config, local_settings

AUTHOR = "orchestrator <orchestrator@localhost.invalid>"
"""Who our own commits are by: checkpoints, never the user's history."""

_SHA1_DIGITS = 40

_NO_PUSH = "disabled://orchestrator-publishes-results-itself"

_OWN: tuple[tuple[str, str], ...] = (
    ("core.fsmonitor", "false"),
    ("core.logallrefupdates", "true"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("push.default", "nothing"),
)


def build(repository: Repository, place: Path, commit: ObjectId, *, files: ObjectId | None = None) -> None:
    """Makes `place`, which must not exist, a borrowing repository with `commit` checked out, submodules too.

    With `files` (a tree) HEAD is `commit`, and index and files are those of `files`: they show as changes.
    What decides content is taken over: object format, shallow and sparse files, partial-clone settings, line
    ends, filters when trusted, the LFS store, ignore and attribute files, remote-tracking refs and tags.
    """
    settings = repository.local_settings()
    _build(repository.git, settings, repository.git_dir, repository.common_dir, place, commit, files)


def _build(
    source: Git,
    settings: Pairs,
    git_dir: Path,
    common_dir: Path,
    place: Path,
    commit: ObjectId,
    files: ObjectId | None = None,
) -> None:
    object_format = "sha1" if len(commit) == _SHA1_DIGITS else "sha256"
    Disk().make_dir(place, mode=0o755)
    borrowed = Git(place, trusted=source.trusted, git_dir=place / ".git", work_tree=place)
    borrowed.run("init", "-q", "--template=", f"--object-format={object_format}", mutates=True)
    own = place / ".git"
    _configure(settings, common_dir, own)
    alternates = scratch.alternates_of(common_dir / "objects")
    (own / "objects" / "info").mkdir(exist_ok=True)
    (own / "objects" / "info" / "alternates").write_bytes(b"".join(alternates))
    _carry_over(git_dir, common_dir, own)
    _mirror_refs(source, own)
    (own / "HEAD").write_bytes(f"{commit}\n".encode())
    borrowed.run("read-tree", "-m", "-u", files or commit, mutates=True, network=True)
    _submodules(source, common_dir, place, borrowed, commit if files else None)


def _configure(taken: Pairs, common_dir: Path, own: Path) -> None:
    remotes = {
        key.rsplit(".", 1)[0] for key, _ in taken if key.startswith("remote.") and key.endswith(".url")
    }
    pairs = [*taken, *_OWN, *((f"{remote}.pushurl", _NO_PUSH) for remote in sorted(remotes))]
    if (common_dir / "lfs").is_dir() and not any(key == "lfs.storage" for key, _ in taken):
        pairs.append(("lfs.storage", str(common_dir / "lfs")))
    with open(own / "config", "ab") as file:
        file.write(as_config(pairs))


def _carry_over(git_dir: Path, common_dir: Path, own: Path) -> None:
    (own / "info").mkdir(exist_ok=True)
    for source, name in (
        (common_dir, "shallow"),
        (common_dir, "info/exclude"),
        (common_dir, "info/attributes"),
        (git_dir, "info/sparse-checkout"),
    ):
        data = history.read_small(source / name)
        if data:
            (own / name).write_bytes(data)


def _mirror_refs(source: Git, own: Path) -> None:
    packed = ""
    for line in source.lines(
        "for-each-ref",
        "--format=%(objectname) %(*objectname) %(refname) %(symref)",
        "refs/remotes/",
        "refs/tags/",
        "refs/replace/",
    ):
        oid, peeled, name, symref = line.split(" ", 3)
        if symref:
            (own / name).parent.mkdir(parents=True, exist_ok=True)
            (own / name).write_text(f"ref: {symref}\n")
        else:
            packed += f"{oid} {name}\n" + (f"^{peeled}\n" if peeled else "")
    if packed:
        (own / "packed-refs").write_bytes(packed.encode("utf-8", "surrogateescape"))


def _submodules(source: Git, common_dir: Path, place: Path, borrowed: Git, base: ObjectId | None) -> None:
    """Fills the submodules that the user's checkout has, borrowing from the user's; others stay empty.

    Where the index names a commit that only an agent's submodule had, the one that `base` names is taken.
    """
    if not (place / ".gitmodules").is_file():
        return
    before = _gitlinks(borrowed.zsplit("ls-tree", "-r", "-z", base)) if base else {}
    for raw, oid in _gitlinks(borrowed.zsplit("ls-files", "-s", "-z")).items():
        path = os.fsdecode(raw)
        theirs = history.git_files(source.directory / path, inside=_root(source.directory, common_dir))
        target = place / path
        if theirs is None or not target.is_dir() or any(target.iterdir()):
            continue
        there = Git(source.directory / path, trusted=source.trusted)
        for wanted in dict.fromkeys((oid, before.get(raw, oid))):
            if there.run("cat-file", "-e", wanted, ok=(0, 1, 128)).status == 0:
                settings = local_settings(there, trusted=there.trusted)
                commit = ObjectId(wanted.decode("ascii"))
                _build(there, settings, theirs.own, theirs.common, target, commit)
                break  # one that the user never fetched stays empty, as with git


def _gitlinks(items: Iterable[bytes]) -> dict[bytes, bytes]:
    """Returns the commits of submodules by their paths, of what `ls-files -s` or `ls-tree -r` lists."""
    found = {}
    for item in items:
        facts, _, path = item.partition(b"\t")
        words = facts.split(b" ")
        if words[0] == b"160000":
            found[path] = words[2] if words[1] == b"commit" else words[1]
    return found


def _root(checkout: Path, common_dir: Path) -> Path:
    """Returns the deepest directory that holds both: a submodule's git directory lies below one of them."""
    return Path(os.path.commonpath((os.path.realpath(checkout), os.path.realpath(common_dir))))


def repair(repository: Repository, place: Path) -> None:
    """Lets a tree borrow from this repository again after the repository was moved or copied.

    Does nothing to a tree whose agent removed or replaced the git directory.
    """
    file = place / ".git" / "objects" / "info" / "alternates"
    wanted = b"".join(scratch.alternates_of(repository.common_dir / "objects"))
    try:
        if not all(stat.S_ISDIR(os.lstat(parent).st_mode) for parent in list(file.parents)[:3]):
            return
    except OSError:
        return
    if history.read_small(file) != wanted:
        Disk().write(file, wanted, mode=0o644)


def scratch_for(
    repository: Repository, place: Path, *, more_objects: tuple[Path, ...] = ()
) -> scratch.Scratch:
    """Returns a scratch git directory below `place` that reads like the user's repository."""
    return scratch.Scratch(
        place,
        object_format=repository.object_format,
        objects=(repository.common_dir / "objects", *more_objects),
        settings=tuple(
            (key, value)
            for key, value in repository.local_settings()
            if not key.startswith(("core.sparsecheckout", "user."))
        ),
        shallow=history.read_small(repository.common_dir / "shallow"),
        exclude=history.read_small(repository.common_dir / "info" / "exclude"),
        sparse=any(
            key == "core.sparsecheckout" and value == "true" for key, value in repository.local_settings()
        ),
    )


def commit_of_tree(repository: Repository, tree: ObjectId) -> ObjectId:
    """Returns a commit without parents that holds `tree`, the same one at every call."""
    environment = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (
            ("NAME", "orchestrator"),
            ("EMAIL", "orchestrator@localhost.invalid"),
            ("DATE", "@0 +0000"),
        )
    }
    done = repository.git.run(
        "commit-tree", tree, "-m", "the tree that checks run on", env=environment, mutates=True
    )
    return ObjectId(done.stdout.decode("ascii").strip())


def commit_bytes(tree: ObjectId, parents: tuple[ObjectId, ...], message: str) -> bytes:
    """Returns the content of a commit object by our own author, now."""
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
    stamp = f"{AUTHOR} {int(time.time())} +0000"
    lines += [f"author {stamp}", f"committer {stamp}", "", message]
    return "\n".join(lines).encode("utf-8", "replace")


def committed_at(commit: bytes) -> datetime:
    """Returns the time in what `commit_bytes` returned, to the second."""
    line = commit.split(b"\ncommitter ", 1)[1].split(b"\n", 1)[0]
    return datetime.fromtimestamp(int(line.split(b" ")[-2]), UTC)


def fetch(repository: Repository, source: Path, refspec: str) -> None:
    """Copies what a ref of a scratch directory reaches into the user's repository and moves our ref there.

    The ref moves forward only. Neither FETCH_HEAD nor configuration, tags, shallow file or packs of others
    change, and no maintenance starts. Durable when it returns.

    Raises:
        GitFailed: an object is missing, or the ref did not allow it.
    """
    target = refspec.split(":", 1)[1]
    words = (
        "fetch",
        "-q",
        "--no-write-fetch-head",
        "--no-tags",
        "--no-auto-maintenance",
        "--no-recurse-submodules",
        "--no-write-commit-graph",
        "--no-prune",
        "--end-of-options",
        str(source),
        refspec,
    )
    settings = (
        ("protocol.allow", "never"),
        ("protocol.file.allow", "always"),
        ("fetch.fsckObjects", "false"),
        ("transfer.fsckObjects", "false"),
        ("fetch.unpackLimit", "100"),
        ("fetch.negotiationAlgorithm", "consecutive"),
        ("core.logAllRefUpdates", "false"),
        ("core.sshCommand", "false"),
    )
    try:
        repository.git.run(*words, mutates=True, settings=settings)
    except GitFailed:
        if not repository.clear_stale_lock(target):
            raise
        repository.git.run(*words, mutates=True, settings=settings)
    repository.sync_ref(target)
