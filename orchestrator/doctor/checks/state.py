"""The database: can it be read, is it sound, and does it agree with the refs."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from orchestrator.doctor.context import Context
from orchestrator.doctor.diagnosis import Check, Diagnosis, counted, fail, in_bytes, ok, skip, warn
from orchestrator.errors import StateDamaged
from orchestrator.model.run import ENDED_RUN, RunStatus
from orchestrator.paths import names

_BIG_LOG_BYTES = 64 << 20


def _integrity(context: Context) -> Diagnosis:
    problems = context.state().problems()
    if problems:
        return fail("The database is damaged.", "orchestrator doctor --recover", problems)
    try:
        context.runs()
    except StateDamaged as error:
        return fail(error.message, "orchestrator doctor --recover")
    return ok("SQLite finds the file and all references in it sound, and every run can be read.")


def _orphans(context: Context) -> Diagnosis:
    found = context.state().orphans()
    if not found:
        return ok("Every event and operation belongs to a run that is there.")
    return warn(
        "Events or operations name runs that the database does not hold: somebody removed rows by hand.",
        "orchestrator doctor --recover (brings back runs whose checkpoints exist)",
        found,
    )


def _events(context: Context) -> Diagnosis:
    broken = context.state().verify_chain()
    if broken is None:
        return ok("No event was changed, removed or put in.")
    return fail(
        f"The chain of events is broken at event {broken}: somebody changed the record.",
        "Nothing repairs a record; what is before that event is as it was written. Runs themselves go on.",
    )


def _journal(context: Context) -> Diagnosis:
    state = str(context.require_ours().state_file)
    if os.path.lexists(state + "-journal"):
        return warn(
            "A rollback journal lies beside the database: a writer was killed, or another tool wrote to it.",
            "orchestrator ops (the next command that writes settles it)",
            (state + "-journal",),
        )
    size = os.lstat(state + "-wal").st_size if os.path.lexists(state + "-wal") else 0
    if size > _BIG_LOG_BYTES and not context.living.peek():
        said = f"The write-ahead log has grown to {in_bytes(size)}."
        return warn(said, "The next command that writes takes it in.")
    if size:
        return ok(
            f"A write-ahead log of {in_bytes(size)} is part of the database; the next writer takes it in."
        )
    return ok("The database was closed cleanly.")


def _interrupted(context: Context) -> Diagnosis:
    living = context.living()
    dead = [
        run
        for run in context.runs().values()
        if run.status not in ENDED_RUN and run.status is not RunStatus.WAITING and run.id not in living
    ]
    if not dead:
        return ok("No run was interrupted.")
    return warn(
        f"{counted(len(dead), 'run')} stopped in the middle and can go on.",
        f"orchestrator resume {dead[0].id}",
        (f"{run.id}: {run.status}" for run in dead),
    )


def _operations(context: Context) -> Diagnosis:
    intended = context.state().intended_operations()
    if not intended:
        return ok("Every merge, undo and discard was finished.")
    return warn(
        f"{counted(len(intended), 'operation')} was begun and not finished.",
        "orchestrator doctor --fix",
        (f"{each.id}: {each.kind} of {each.run_id or 'no run'} in {each.worktree}" for each in intended),
        fixable=True,
    )


def _agrees(context: Context) -> Diagnosis:
    refs, gone = context.refs(), []
    for run in context.runs().values():
        progress = run.metadata.progress
        if progress.checkpoint is not None and names.RUN_REFS + run.id not in refs:
            gone.append(f"{run.id}: its checkpoints ({names.RUN_REFS}{run.id})")
    if not gone:
        return ok("Every checkpoint that the state names is there.")
    return fail(
        "Refs with checkpoints are gone; while git has not collected the commits they can be brought back.",
        "git fsck --unreachable --no-reflogs",
        gone,
    )


def _branches(context: Context) -> Diagnosis:
    refs, gone = context.refs(), []
    for run in context.runs().values():
        progress = run.metadata.progress
        discarded = f"refs/orchestrator/discarded/{run.id}" in refs
        if progress.branch and not progress.merged and not discarded and progress.branch not in refs:
            gone.append(f"{run.id}: {progress.branch}")
    if not gone:
        return ok("Every result that is not merged has its branch.")
    return warn(
        f"{counted(len(gone), 'branch', 'branches')} with a result that is not merged is gone.",
        "orchestrator doctor --recover",
        gone,
    )


def _backup(context: Context) -> Diagnosis:
    place = context.require_ours().backups_dir
    found = sorted(place.glob("state-*.db")) if place.is_dir() else []
    if not found:
        return ok("No backup yet: one is made before the schema changes.")
    made = datetime.fromtimestamp(os.lstat(found[-1]).st_mtime, UTC)
    days = (datetime.now(UTC) - made).days
    return ok(f"{counted(len(found), 'backup')}; the newest is {counted(max(days, 0), 'day')} old.")


def _clock(context: Context) -> Diagnosis:
    runs = context.runs()
    now = datetime.now(UTC)
    newest = max((run.created_at for run in runs.values()), default=None)
    if newest is None:
        return skip("No run has been started here.")
    if newest > now:
        return warn(
            f"A run was recorded in the future ({newest:%Y-%m-%d %H:%M} UTC): the clock was or is wrong.",
            "Set the clock of this machine.",
        )
    return ok("The clock agrees with what is recorded.")


CHECKS = (
    Check(
        "state-integrity",
        "state",
        "the database is sound",
        "SQLite's own check of the file and of every reference between rows; then every run is read.",
        _integrity,
    ),
    Check(
        "state-orphans",
        "state",
        "no event or operation names a run that is not there",
        "Other rows cannot; these outlive a run that somebody removed by hand.",
        _orphans,
    ),
    Check(
        "state-events",
        "state",
        "the chain of events is whole",
        "Every event carries the hash of the one before, so that a change shows.",
        _events,
    ),
    Check(
        "state-journal",
        "state",
        "no log of SQLite was left behind",
        "A write-ahead log belongs to the database; it must never be removed by hand.",
        _journal,
    ),
    Check(
        "state-interrupted",
        "state",
        "no run stopped in the middle",
        "A run whose process died is not lost: `resume` goes on where it was.",
        _interrupted,
    ),
    Check(
        "state-operations",
        "state",
        "every merge, undo and discard was finished",
        "They are journalled; one that was interrupted is finished or taken back.",
        _operations,
    ),
    Check(
        "state-checkpoints",
        "state",
        "every checkpoint that the state names exists",
        "Checkpoints are refs in your repository; somebody may have removed them.",
        _agrees,
    ),
    Check(
        "state-branches",
        "state",
        "every unmerged result has its branch",
        "A branch that was removed by hand is brought back by `--recover`, a discarded one by `undo`.",
        _branches,
    ),
    Check(
        "state-backup",
        "state",
        "how old the newest backup is",
        "The last three backups are kept, made before each change of the schema.",
        _backup,
    ),
    Check(
        "state-clock",
        "state",
        "nothing was recorded in the future",
        "No decision rests on the clock alone, but times in reports would mislead.",
        _clock,
    ),
)
