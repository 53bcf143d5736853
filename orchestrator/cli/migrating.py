"""What `migrate` and its askers say and do: tables, questions, progress; the work itself lies below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.cli.invocation import Invocation
from orchestrator.cli.progress import ProgressLine
from orchestrator.cli.screen import Screen, Styled
from orchestrator.cli.table import columns
from orchestrator.cli.words import counted
from orchestrator.errors import Refused
from orchestrator.model.json import Json

if TYPE_CHECKING:
    from orchestrator.migrate.actions import Action, Plan
    from orchestrator.migrate.catalogue import Layout
    from orchestrator.migrate.migration import Migration
    from orchestrator.migrate.rollback import Return
    from orchestrator.takeover.moving import Moved, Mover
    from orchestrator.takeover.taking_over import TakeoverReport

_TITLES = ("FROM", "TO", "ACTION", "KIND", "FILES", "BYTES", "MODE", "TRACKED", "SENSITIVE")


def mover(call: Invocation, catalogue: Sequence[Layout], jobs: int = 1) -> Mover:
    """Returns what migrates the checkout that the call was made in."""
    from orchestrator.takeover import moving

    return moving.mover(
        call.locate(), call.environment, catalogue, jobs=jobs, progress=ProgressLine(call.screen)
    )


def say_plan(
    call: Invocation, migration: Migration, waiting: Sequence[str], remarks: Sequence[str] = ()
) -> None:
    """Prints a plan as a table with totals, or as the object of CONTRACT.md; `remarks` are warnings too."""
    if call.screen.as_json:
        waits: list[Json] = list(waiting)
        document = migration.to_json()
        pending = bool(document["pending"]) or bool(waits)
        warnings: list[Json] = [*remarks, *migration.plan.warnings]
        call.screen.json({**document, "pending": pending, "warnings": warnings, "takeover_waiting": waits})
        return
    screen, plan = call.screen, migration.plan
    if migration.interrupted is not None:
        screen.out(
            f"Migration {migration.interrupted.plan.id} was interrupted; "
            "the next `orchestrator migrate` finishes it first."
        )
    if waiting:
        screen.out(f"The runs of {', '.join(waiting)} wait to be taken over: orchestrator migrate")
    moving = [one for one in plan.actions if one.action not in ("keep", "skip")]
    for parts in columns([_TITLES, *(_row(one) for one in moving)]) if moving else []:
        screen.out(*parts)
    if moving:
        _say_totals(screen, plan, moving)
    elif not migration.pending and not waiting:
        screen.out("Nothing to migrate.")
    _say_left_alone(screen, plan)
    _say_troubles(screen, migration)
    for warning in (*remarks, *plan.warnings):
        screen.warn(warning)


def _say_troubles(screen: Screen, migration: Migration) -> None:
    for conflict in migration.plan.conflicts:
        where = conflict.target or ""
        screen.out(Styled("conflict: ", "red"), f"{conflict.source} and {where}: {conflict.reason}")
    for trouble in migration.troubles:
        if trouble.exit_status != 3:
            held = f" In use by {trouble.holder}." if trouble.holder else ""
            screen.out(Styled("trouble: ", "red"), f"{trouble.message}{held}")
            screen.out(Styled("  hint: ", "cyan"), trouble.hint)


def _row(action: Action) -> tuple[str, ...]:
    return (
        action.source,
        action.target or "-",
        action.action,
        action.kind.value,
        f"{action.files:,}",
        f"{action.bytes:,}",
        action.mode,
        "yes" if action.tracked else "no",
        "yes" if action.sensitive else "no",
    )


def _say_totals(screen: Screen, plan: Plan, moving: Sequence[Action]) -> None:
    files, size = sum(one.files for one in moving), sum(one.bytes for one in moving)
    screen.out("")
    allocated = sum(one.allocated_bytes for one in moving)
    holes = f" ({allocated:,} on the disk)" if allocated < size else ""
    screen.out(f"{len(moving)} entries, {files:,} files, {size:,} bytes{holes}")
    if plan.same_filesystem:
        screen.out("Everything stays on one file system: no space is needed.")
    else:
        screen.out(
            f"File systems are crossed: {plan.bytes_needed:,} bytes, {plan.inodes_needed:,} files are copied."
        )


def _say_left_alone(screen: Screen, plan: Plan) -> None:
    if plan.left_alone:
        screen.out("")
        screen.out("Left alone:")
    for one in plan.left_alone:
        screen.out(f"  {one.source} ({one.kind.value})" + (f": {one.reason}" if one.reason else ""))


def say_moved(call: Invocation, moved: Moved, remarks: Sequence[str] = ()) -> int:
    """Prints what a migration did, and how to take it back; returns the exit status."""
    outcome, screen = moved.outcome, call.screen
    plan = outcome.plan if outcome.plan is not None else (outcome.record.plan if outcome.record else None)
    if screen.as_json:
        screen.json(_moved_json(moved, plan, remarks))
        return 0
    for remark in remarks:
        screen.warn(remark)
    _say_outcome(screen, moved, plan)
    for report in moved.takeovers.values():
        _say_takeover(screen, report)
    for line in (*outcome.kept, *(f"{one.source} {one.sentence}" for one in moved.kept)):
        screen.note("kept: ", line)
    if outcome.did in ("migrated", "resumed") and plan is not None:
        screen.note(f"Take it back with: orchestrator migrate --rollback {plan.id}")
    if outcome.more:
        screen.note("There is more to migrate: orchestrator migrate")
    return 0


def _say_outcome(screen: Screen, moved: Moved, plan: Plan | None) -> None:
    did = moved.outcome.did
    if did == "rolled-back" and plan is not None:
        screen.out(f"Migration {plan.id} is taken back; everything is where it was.")
    elif did in ("migrated", "resumed") and plan is not None and moved.outcome.record is not None:
        actions = [one for one in plan.actions if one.action in ("move", "merge")]
        for one in actions:
            screen.detail(f"  {one.source} -> {one.target or 'original/'}")
        for earlier in moved.outcome.earlier:
            screen.out(f"Migrated first: {earlier.plan.id} ({', '.join(earlier.plan.layouts)}).")
        files = sum(one.files for one in actions)
        verb = "Finished the interrupted migration" if did == "resumed" else "Migrated"
        screen.out(f"{verb} {len(actions)} entries, {files:,} files ({plan.id}).")
        _say_left_alone(screen, plan)
        for warning in plan.warnings:
            screen.warn(warning)
    elif not moved.takeovers:
        screen.out("Nothing to migrate.")


def _say_takeover(screen: Screen, report: TakeoverReport) -> None:
    if report.config is not None:
        screen.out(f"Translated the old configuration into {report.config}")
    if report.imported:
        screen.out(f"Took over {counted(len(report.imported), 'run')}: {', '.join(report.imported)}")
    for run in report.resumable:
        screen.note(f"Go on with it: orchestrator resume {run}")
    if report.deferred:
        screen.warn(f"The runs wait: {report.deferred} Afterwards: orchestrator migrate")
    for key in report.unknown_keys:
        screen.note(f"not translated: {key.file}:{key.line}: {key.key}: {key.reason}")
    for problem in (*report.skipped, *report.problems):
        screen.note(f"left out: {problem.source}: {problem.sentence}")


def _moved_json(moved: Moved, plan: Plan | None, remarks: Sequence[str]) -> dict[str, Json]:
    from orchestrator.migrate.migration import Migration

    document: dict[str, Json] = dict(Migration(plan, ()).to_json()) if plan is not None else {}
    document["pending"] = moved.outcome.more
    document["earlier"] = [one.plan.id for one in moved.outcome.earlier]
    document["warnings"] = [*remarks, *(plan.warnings if plan is not None else ())]
    takeovers: list[Json] = [_takeover_json(name, one) for name, one in moved.takeovers.items()]
    kept: list[Json] = [*moved.outcome.kept, *(f"{one.source} {one.sentence}" for one in moved.kept)]
    return {**document, "did": moved.outcome.did, "kept": kept, "takeovers": takeovers}


def _takeover_json(name: str, report: TakeoverReport) -> dict[str, Json]:
    return {
        "migration": name,
        "imported": list(report.imported),
        "known": list(report.known),
        "resumable": list(report.resumable),
        "config": str(report.config) if report.config is not None else None,
        "deferred": report.deferred,
        "unknown_keys": [{"file": one.file, "line": one.line, "key": one.key} for one in report.unknown_keys],
        "problems": [
            {"source": one.source, "sentence": one.sentence} for one in (*report.skipped, *report.problems)
        ],
    }


def take_back(call: Invocation, mover: Mover, name: str | None, *, force: bool, dry_run: bool) -> int:
    """Shows what a rollback means, asks, and does it."""
    returns = mover.migrator.preview_rollback(name)
    if not call.screen.as_json or dry_run:
        _say_returns(call, returns, dry_run=dry_run)
    if dry_run:
        if not returns and not call.screen.as_json:
            call.screen.out("There is no migration to take back.")
        return 0
    record = mover.rolled_back_next(name)
    shown = name or (record.plan.id if record is not None else "")
    question = f"Take the migration {shown} back?"
    if returns and not call.confirm(question, otherwise=f"orchestrator migrate --rollback {shown} --yes"):
        raise Refused("Nothing was taken back.", code="not-confirmed", hint="orchestrator ops")
    moved = mover.take_back(name, force=force)
    if moved.outcome.did == "nothing" and not call.screen.as_json:
        call.screen.out("There is no migration to take back.")
        return 0
    return say_moved(call, moved)


def _say_returns(call: Invocation, returns: Sequence[Return], *, dry_run: bool) -> None:
    if call.screen.as_json:
        steps: list[Json] = [
            {
                "source": one.step.source,
                "target": one.step.target,
                "verdict": one.verdict,
                "reason": one.reason,
            }
            for one in returns
        ]
        call.screen.json({"pending": bool(returns), "rollback": steps})
        return
    rows = [("WHAT", "BACK TO", "FROM")]
    rows += [(one.verdict, one.step.source, one.step.target) for one in returns]
    say = call.screen.out if dry_run else call.screen.note
    for parts in columns([tuple(row) for row in rows]) if returns else []:
        say(*parts)
    for one in returns:
        if one.reason:
            say(f"{one.step.source}: {one.reason}")


def finish(call: Invocation, mover: Mover, name: str | None) -> int:
    """Asks, then ends the possibility of rolling back."""
    if not call.confirm(
        "Drop what a rollback needs? Git keeps the originals.",
        otherwise="orchestrator migrate --finalize --yes",
    ):
        raise Refused("Nothing was dropped.", code="not-confirmed", hint="orchestrator migrate --finalize")
    done = mover.finish(name)
    if call.screen.as_json:
        kept: list[Json] = list(done.kept) if done is not None else []
        call.screen.json(
            {"ref": done.ref if done else None, "files": done.files if done else 0, "kept": kept}
        )
        return 0
    if done is None:
        call.screen.out("There is no migration to finalize.")
        return 0
    call.screen.out(f"Finalized: {done.files:,} originals are kept in {done.ref}")
    for secret in done.kept:
        call.screen.note(f"kept on the disk, because it is secret: {secret}")
    return 0
