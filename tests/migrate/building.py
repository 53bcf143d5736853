"""Builds what earlier orchestrators left, and compares whole trees."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import stat
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

from orchestrator.errors import OrchestratorError
from orchestrator.fs.disk import Disk
from orchestrator.migrate.catalogue import load_catalogue
from orchestrator.migrate.migration import Migrator
from orchestrator.paths import OrchestratorPaths
from orchestrator.state.layout import create_layout

Facts: TypeAlias = dict[str, tuple[object, ...]]

OURS = (".orchestrator", ".orchestrator/*")


def put(path: Path, data: bytes = b"x\n", mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    return path


def put_json(path: Path, document: object) -> Path:
    return put(path, json.dumps(document).encode())


def database(path: Path, *, wal: bool = False) -> Path:
    """Makes a small database; with `wal` its last row is in the write-ahead log alone, as after a kill."""
    path.parent.mkdir(parents=True, exist_ok=True)
    child = os.fork()
    if child == 0:
        connection = sqlite3.connect(path)
        if wal:
            connection.execute("pragma journal_mode=wal")
        connection.execute("create table approvals(id, answer)")
        connection.commit()
        connection.execute("insert into approvals values(1, 'yes')")
        connection.commit()
        if not wal:
            connection.close()
        os._exit(0)
    os.waitpid(child, 0)
    return path


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("select count(*) from approvals").fetchone()[0])


def plain(root: Path) -> None:
    put(root / "orchestrator.db", b"SQLite-ish " * 400, 0o600)
    put(root / ".orch_secrets", b"KEY=v\n", 0o600)
    for number in range(6):
        put(root / f"checkpoints/run-{number % 3}/cp-{number}.json", b"{}" * 30)
    put(root / "logs/a.log")


def w(root: Path) -> None:
    """Builds the first generation of W with an entry of every kind, and nasty things in it."""
    put_json(root / ".workflow_state.json", {"workflow_id": "w1", "phases": {"PLAN": {"items": {}}}})
    put(root / ".workflow_log.jsonl", b'{"event":"a"}\n{"event":"b"}\n', 0o640)
    put_json(root / ".workflow_checkpoints/cp_20260101_000000_abcdef.json", {"checkpoint_id": "c"})
    os.link(
        root / ".workflow_checkpoints/cp_20260101_000000_abcdef.json", root / ".workflow_checkpoints/same"
    )
    (root / ".workflow_checkpoints/dangling").symlink_to("nowhere")
    (root / ".workflow_checkpoints/empty").mkdir()
    put(Path(os.fsdecode(os.fsencode(root / ".workflow_checkpoints") + b"/bad-\xff\xfe")), b"odd")
    os.chmod(root / ".workflow_checkpoints", 0o2770)
    put(root / ".workflow_feedback.jsonl.migrated")
    put(root / ".workflow_tool_feedback.jsonl")
    put(root / ".workflow_state.json.20260101.bak")
    database(root / ".workflow_approvals.db", wal=True)
    put(root / ".secrets.enc", b"encrypted", 0o644)
    put(root / ".orchestra.yaml", b"reviews: true\n")
    put(root / "workflow.yaml", b"phases: []\n")
    put_json(root / ".claude/prd_state.json", {"prd": 1})
    put(root / ".claude/settings.json", b"{}")
    put(root / ".claude/hooks/stop.sh", b"#!/bin/sh\n", 0o755)
    put(root / ".claude/prompts/a.md")
    put(root / ".model_registry.json", b"{}")
    put(root / ".wfo_logs/one.log", b"log\n" * 100, 0o400)
    put(root / "LEARNINGS.md")
    put(root / ".env", b"TOKEN=x\n", 0o600)
    put(root / "app.py", b"print(1)\n")
    _old(root)


def w_inside(root: Path) -> None:
    """Builds the later generations of W, which lie in `.orchestrator/` itself."""
    inside = root / ".orchestrator"
    put_json(inside / "state.json", {"tasks": {}})
    put(inside / "audit.jsonl", b'{"a":1}\n')
    put_json(inside / "sessions/1234abcd/state.json", {"workflow_id": "x", "phases": {}})
    put(inside / "sessions/old.jsonl")
    put(inside / ".gitignore", b"*\n")
    put(inside / ".migration_complete")
    put(inside / "secrets/.enc", b"encrypted", 0o644)
    _old(root)


def _old(root: Path) -> None:
    for here, directories, files in os.walk(root):
        for name in (*files, *directories):
            os.utime(os.path.join(here, name), ns=(10**18, 10**18 + 7), follow_symlinks=False)
    os.utime(root, ns=(10**18, 10**18 + 7))


def make_layout(base: Path) -> None:
    create_layout(OrchestratorPaths(base), Disk(), private=False, workflow_yaml=None)


def migrator(root: Path, *, disk: Disk | None = None, jobs: int = 1) -> Migrator:
    return Migrator(root, catalogue=load_catalogue(), disk=disk or Disk(), make_layout=make_layout, jobs=jobs)


def snapshot(root: Path, *, skip: Iterable[str] = ()) -> Facts:
    """Returns everything about everything below `root` (and of directories all but their times)."""
    skipped = tuple(skip)
    found: Facts = {}
    inodes: dict[tuple[int, int], list[str]] = {}
    for here, directories, files in os.walk(root):
        for name in (*files, *directories):
            path = os.path.join(here, name)
            relative = os.path.relpath(path, root)
            if not any(relative == one or relative.startswith(f"{one}/") for one in skipped):
                found[relative] = _facts(path)
                facts = os.lstat(path)
                if stat.S_ISREG(facts.st_mode):
                    inodes.setdefault((facts.st_dev, facts.st_ino), []).append(relative)
    for names in inodes.values():
        for name in names if len(names) > 1 else ():
            found[name] = (*found[name], tuple(sorted(names)))
    return found


def _facts(path: str) -> tuple[object, ...]:
    facts = os.lstat(path)
    common = (stat.S_IFMT(facts.st_mode), stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid)
    if stat.S_ISLNK(facts.st_mode):
        return (*common, os.readlink(path), facts.st_mtime_ns)
    if stat.S_ISDIR(facts.st_mode):
        return (*common, _attributes(path))
    if not stat.S_ISREG(facts.st_mode):
        return common
    content = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return (*common, content, facts.st_mtime_ns, _attributes(path))


def _attributes(path: str) -> tuple[tuple[str, bytes], ...]:
    try:
        return tuple((name, os.getxattr(path, name)) for name in sorted(os.listxattr(path)))
    except OSError:
        return ()


def contents(root: Path) -> list[str]:
    """Returns the hash of every regular file below `root`, sorted; equal names do not matter."""
    return sorted(
        hashlib.sha256((Path(here) / name).read_bytes()).hexdigest()
        for here, _, files in os.walk(root)
        for name in files
        if not (Path(here) / name).is_symlink()
    )


def litter(root: Path) -> list[str]:
    return [
        os.path.join(here, name)
        for here, directories, files in os.walk(root)
        for name in (*files, *directories)
        if name.startswith(".tmp-orchestrator-")
    ]


def error_of(error: BaseException) -> OrchestratorError:
    assert isinstance(error, OrchestratorError)
    return error
