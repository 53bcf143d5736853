"""What a command that writes does when an earlier orchestrator's files are found: `migration.auto`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli import migrating
from orchestrator.cli.invocation import Invocation
from orchestrator.cli.old_place import say_notice
from orchestrator.cli.words import counted
from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from orchestrator.migrate.actions import Plan
    from orchestrator.migrate.migration import Migration
    from orchestrator.takeover.moving import Mover

DECLINED = "migration-declined"
"""Its name in `logs/`: holds the digest of what a person did not want to move, so that nobody asks again."""


def offer(call: Invocation) -> None:
    """Moves, asks, or says nothing, as configured; the command goes on with what there is afterwards.

    Nothing that goes wrong here stops the command: `migrate` says it all when somebody calls it.

    Raises:
        KeyboardInterrupt: at the question.
    """
    setting = _setting(call)
    if setting == "off":
        return
    from orchestrator.migrate.catalogue import load_catalogue
    from orchestrator.migrate.safety import is_safe

    mover = migrating.mover(call, load_catalogue())
    try:
        migration = mover.migrator.preview()
    except OrchestratorError:
        return
    if not migration.plan.pending:
        return
    _count(mover, migration.plan)
    if setting == "safe" and is_safe(migration, mover.paths.base_dir):
        _move(call, mover, migration)
    elif setting == "prompt" and call.may_ask and not migration.troubles and migration.interrupted is None:
        _ask(call, mover, migration)
    else:
        say_notice(call)


def _ask(call: Invocation, mover: Mover, migration: Migration) -> None:
    plan = migration.plan
    if _declined(mover) == plan.digest:
        say_notice(call)
        return
    size = sum(one.bytes for one in plan.actions if one.target)
    question = (
        f"Move {len(plan.steps)} files and directories of an earlier orchestrator ({size:,} bytes) into "
        ".orchestrator/ now? It can be taken back."
    )
    if call.confirm(question, otherwise="orchestrator migrate --dry-run"):
        _move(call, mover, migration)
        return
    logs = mover.paths.logs_dir
    if logs.is_dir() and not logs.is_symlink() and os.path.isfile(mover.paths.layout_file):
        mover.disk.write(logs / DECLINED, plan.digest.encode())
    say_notice(call)


def _move(call: Invocation, mover: Mover, migration: Migration) -> None:
    moved = mover.migrate(shown=migration.plan)
    call.screen.note(f"Moved the files of an earlier orchestrator into {mover.paths.orchestrator_dir}.")
    for report in moved.takeovers.values():
        if report.imported:
            call.screen.note(f"Took over {counted(len(report.imported), 'run')}.")
    call.screen.note(f"Take it back with: orchestrator migrate --rollback {migration.plan.id}")


def _setting(call: Invocation) -> str:
    from orchestrator.config.load import load
    from orchestrator.paths import names
    from orchestrator.takeover.configuration import is_workflow_of_w

    located = call.locate()
    try:
        loaded = load(
            repository=Path(located.checkout),
            state_root=Path(located.home),
            environment=call.environment,
            flags={},
        )
    except (
        OrchestratorError
    ):  # the command itself will say what is wrong with it, unless W's file is read as ours
        return "prompt" if is_workflow_of_w(Path(located.checkout, names.CONFIG)) else "off"
    return loaded.config.migration.auto


def _declined(mover: Mover) -> str:
    path = mover.paths.logs_dir / DECLINED
    return path.read_text("utf-8", "replace") if path.is_file() and not path.is_symlink() else ""


def _count(mover: Mover, plan: Plan) -> None:
    from orchestrator.takeover.uses import count_use

    for layout in plan.layouts:
        count_use(mover.paths, mover.disk, layout)
