"""A real repository with a real configuration, and the main job in it without the command line."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.config.schema import Config
from orchestrator.engine.local import prepare_resume, work
from orchestrator.engine.start import RunRequest, preview, start_run
from orchestrator.fs.disk import Disk
from orchestrator.model.ids import RunId, parse_run_id
from orchestrator.model.plan import Plan
from orchestrator.model.run import Run, RunOptions
from orchestrator.paths import OrchestratorPaths
from orchestrator.state.layout import create_layout
from orchestrator.workspace import Workspace, open_workspace

CHECK_APP = f"{sys.executable} -c \"import sys; sys.exit('bad' in open('app.py').read())\""


@dataclass
class Scene:
    """One repository; `programs` are the scripts that play agents and checks."""

    root: Path
    programs: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def configure(self, text: str) -> None:
        """Writes workflow.yaml; `version: 1` is put before the text."""
        paths = OrchestratorPaths(self.root)
        create_layout(paths, Disk(), private=False, workflow_yaml=None)
        paths.config_file.write_text("version: 1\nexecution: {retry_backoff_s: 0}\n" + textwrap.dedent(text))

    def program(self, name: str, source: str) -> str:
        """Writes a Python program and returns the command line that runs it."""
        path = self.programs / f"{name}.py"
        path.write_text(textwrap.dedent(source))
        return f"{sys.executable} {path}"

    def open(self) -> Workspace:
        """Opens the repository as a command that writes does, trusting its configuration."""
        return open_workspace(str(self.root), environment=self.environment, trust_now=True, writes=True)

    def request(self, workspace: Workspace, **wishes: object) -> RunRequest:
        """Returns what `run` would ask for; `command` is split at blanks."""
        command = wishes.pop("command", None)
        config: Config = workspace.loaded.config
        options = RunOptions(
            command=tuple(str(command).split()) if command else None,
            **wishes.pop("options", {}),  # type: ignore[arg-type]
        )
        run_id = wishes.pop("run_id", None)
        plan = wishes.pop("plan", None)
        base = wishes.pop("base", None)
        assert plan is None or isinstance(plan, Plan)
        assert base is None or isinstance(base, str)
        return RunRequest(
            task=str(wishes.pop("task", "repair it")),
            run_id=parse_run_id(str(run_id)) if run_id else None,
            plan=plan,
            base=base,
            include_changes=bool(wishes.pop("include_changes", False)),
            options=options,
            config=config,
            workflow_yaml=workspace.loaded.workflow_yaml,
            trusted=True,
        )

    def start(self, **wishes: object) -> RunId:
        """Writes a run down without working on it."""
        with self.open() as workspace:
            request = self.request(workspace, **wishes)
            return start_run(workspace.context, request, preview(workspace.context, request)).id

    def work(self, run_id: RunId, stop: Callable[[], bool] = lambda: False, *, wait: bool = False) -> Run:
        """Works on a run until it rests."""
        with self.open() as workspace:
            return work(workspace.context, run_id, stop=stop, wait=wait)

    def run(self, **wishes: object) -> Run:
        """Starts a run and works on it until it rests."""
        return self.work(self.start(**wishes))

    def resume(self, run_id: RunId, *, wait: bool = False) -> Run:
        """Takes a run up again and works on it until it rests."""
        with self.open() as workspace:
            prepare_resume(workspace.context, workspace.state.get_run(run_id))
            return work(workspace.context, run_id, stop=lambda: False, wait=wait)

    def worktrees(self) -> list[str]:
        """Returns what is left below `worktrees/`, as paths relative to it; the empty `.checks` stays."""
        root = OrchestratorPaths(self.root).worktrees_dir
        return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.name != ".checks")
