"""Any generated legacy tree, any kill: rollback gives it back identical, going on gives every byte once."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.migrate.building import contents, litter, migrator, put, snapshot
from tests.migrate.crashing import effects_of, killed_at

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")

NAMES = st.sampled_from(["a", "b", "ü", "-rf", "a b", "new\nline", os.fsdecode(b"\xff\xfe"), "\x1b[31m"])
TOPS = st.sampled_from(
    [
        ".workflow_log.jsonl",
        ".workflow_checkpoints/",
        ".workflow_tool_feedback.jsonl",
        ".wfo_logs/",
        ".secrets.enc",
        ".claude/prompts/",
        ".claude/hooks/",
        "checkpoints/",
        ".orchestrator/audit.jsonl",
        ".orchestrator/checkpoints/",
        ".orchestrator/sessions/1/",
        "orchestrator.db",
        "app/",
    ]
)
MODES = st.sampled_from([0o600, 0o644, 0o755, 0o400, 0o000])
KINDS = st.sampled_from(["file", "file", "file", "link", "directory", "hard"])
PARTS = st.lists(st.tuples(TOPS, NAMES, KINDS, MODES, st.binary(max_size=20)), min_size=1, max_size=12)


def build(root: Path, parts: list[tuple[str, str, str, int, bytes]]) -> None:
    root.mkdir()
    put(root / ".orch_secrets", b"KEY=v\n")  # so that at least one layout is there
    first: Path | None = None
    for top, name, kind, mode, data in parts:
        path = root / (top + name if top.endswith("/") else top)
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path):
            continue
        if kind == "link":
            path.symlink_to("nowhere")
        elif kind == "directory":
            path.mkdir()
        elif kind == "hard" and first is not None:
            os.link(first, path)
        else:
            first = put(path, (b"SQLite" if top == "orchestrator.db" else b"") + data, mode)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(parts=PARTS, at=st.floats(min_value=0, max_value=1), back=st.booleans())
def test_any_tree_and_any_kill_end_in_the_old_state_or_the_new(
    parts: list[tuple[str, str, str, int, bytes]], at: float, back: bool
) -> None:
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    place = Path(tempfile.mkdtemp(prefix="migrate-", dir=memory))
    try:
        build(place / "repo", parts)
        root = place / "repo"
        before, bytes_before = snapshot(root), contents(root)
        shown = migrator(root).preview()
        if shown.troubles or not shown.pending:
            return
        shutil.copytree(root, place / "trial", symlinks=True)
        number = 1 + int(at * len(effects_of(lambda: migrator(place / "trial").migrate())))

        killed_at(number, lambda: migrator(root).migrate())

        if back:
            migrator(root).take_back()
            skip = (".orchestrator/migrations", ".orchestrator/locks")
            assert snapshot(root, skip=skip) == before
        else:
            migrator(root).migrate()
            after = contents(root)
            assert [one for one in after if one in bytes_before] == bytes_before
            assert not migrator(root).preview().pending
        assert litter(root) == []
    finally:
        shutil.rmtree(place)
