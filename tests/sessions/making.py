"""A repository with one finished run, and as many copies of it as a test needs, made without an agent."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orchestrator.model.ids import RunId
from orchestrator.paths import OrchestratorPaths
from orchestrator.state.manager import StateManager

GitCall = Callable[..., str]


def old_runs(
    root: Path, git: GitCall, model: RunId, names: list[str], *, days: int = 40, outputs: int = 4000
) -> None:
    """Makes copies of the finished run `model` under other names: rows, refs, outputs; `days` old."""
    paths = OrchestratorPaths(root)
    refs = [
        line.split() for line in git(root, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    ]
    own = [(name, oid) for name, oid in refs if name.endswith(f"/{model}") and "orchestrator/" in name]
    with StateManager.open(paths) as state:
        summary = state.export_run_summary(model)
        for number, name in enumerate(names):
            document = renamed(
                summary, model, name, datetime.now(UTC) - timedelta(days=days, minutes=-number)
            )
            assert state.recover_run(document)
            place = paths.run_artifacts_dir(name)
            place.mkdir(parents=True)
            (place / "out.log").write_text(f"line of {name}\n" * (outputs // 12))
    git_dir = root / ".git"
    for name in names:
        for ref, oid in own:
            target = git_dir / (ref.removesuffix(model) + name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(oid + "\n")


def renamed(summary: Any, model: str, name: str, ended: datetime) -> Any:
    """Returns the document of a run as that of another, with ids of its own."""
    text = json.dumps(copy.deepcopy(summary))
    for execution in summary["executions"]:
        text = text.replace(execution["id"], f"execution-{name}-{execution['attempt']}")
    for artifact in summary["artifacts"]:
        text = text.replace(artifact["id"], f"artifact-{name}-{artifact['id'][-4:]}")
    document = json.loads(text.replace(f'"{model}"', f'"{name}"'))
    stamp = ended.isoformat().replace("+00:00", "Z")
    document["run"].update(created_at=stamp, started_at=stamp, completed_at=stamp)
    return document


def listing(place: Path) -> dict[str, bytes]:
    """Returns every file below a directory with its content."""
    return {
        os.fspath(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()
    }
