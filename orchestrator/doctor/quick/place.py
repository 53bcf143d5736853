"""`.orchestrator/`: whose it is, whether it is complete and can be read, and what lies beside it."""

from __future__ import annotations

import os

from orchestrator.doctor.diagnosis import Diagnosis, QuickCheck, counted, fail, in_bytes, ok, warn
from orchestrator.errors import OrchestratorError, Refused, StateDamaged
from orchestrator.paths import names
from orchestrator.state.ownership import DIRECTORIES, Ownership, is_remains, unusable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.doctor.surface import Surface


def _ownership(context: Surface) -> Diagnosis:
    ownership, directory = context.ownership(), context.directory()
    if ownership is Ownership.OURS:
        return ok(f"{directory} is ours.")
    has_refs = bool(context.refs.peek())
    if ownership in (Ownership.ABSENT, Ownership.CLONE) and has_refs:
        return fail(
            f"{directory} is gone or not complete, but the repository holds checkpoints of runs.",
            "orchestrator doctor --recover",
        )
    if ownership is Ownership.ABSENT:
        return warn("Nothing is set up here yet.", "orchestrator init")
    if ownership is Ownership.CLONE:
        return warn(f"{directory} came with the clone and is not set up yet.", "orchestrator init")
    if ownership is Ownership.FOREIGN and has_refs and is_remains(directory):
        return fail(
            f"{directory} is damaged: its layout.json is missing or torn.", "orchestrator doctor --recover"
        )
    if ownership is Ownership.FOREIGN and context.is_earlier():
        said = f"{directory} holds what an earlier orchestrator left."
        return fail(said, "orchestrator migrate", context.entries())
    refusal = unusable(directory, ownership)
    return fail(refusal.message, refusal.hint, context.entries())


def missing_directories(context: Surface) -> list[str]:
    """Returns the names of the directories of an initialised `.orchestrator/` that are gone."""
    context.insist_ours()
    directory = context.state_dir()
    return [name for name in DIRECTORIES if not os.path.isdir(os.path.join(directory, name))]


def _complete(context: Surface) -> Diagnosis:
    missing = missing_directories(context)
    if not missing:
        return ok("All directories are there.")
    return warn(
        "Directories are missing.",
        "orchestrator doctor --fix",
        (f"{name}/" for name in missing),
        fixable=True,
    )


def _earlier_state(context: Surface) -> Diagnosis:
    found = context.earlier_state()
    if not found.lines:
        return ok("No state of an earlier orchestrator lies here.")
    mixed = context.ownership() is Ownership.OURS
    said = "Old and new state lie side by side." if mixed else "State of an earlier orchestrator lies here."
    return warn(said, "orchestrator migrate", found.lines, fixable=found.is_safe)


def _interrupted(context: Surface) -> Diagnosis:
    found = context.interrupted_migration()
    if found is None:
        return ok("No migration is half done.")
    return fail(
        f"The migration {found.id} was interrupted ({found.state}).",
        "orchestrator migrate --resume",
        found.lines,
        fixable=True,
    )


def _database(context: Surface) -> Diagnosis:
    context.insist_ours()
    state_file = os.path.join(context.state_dir(), names.STATE)
    try:
        count = context.run_count()
    except StateDamaged as error:
        return fail(error.message, "orchestrator doctor --recover")
    except Refused as refusal:
        return _unusable(context, state_file, refusal)
    except OrchestratorError as error:
        return fail(error.message, error.hint)
    return ok(f"{counted(count, 'run')} in {in_bytes(os.lstat(state_file).st_size)}.")


def _unusable(context: Surface, state_file: str, refusal: Refused) -> Diagnosis:
    if refusal.code != "state-missing":
        older = refusal.code == "state-older"
        return (warn if older else fail)(refusal.message, refusal.hint, fixable=older)
    if os.path.lexists(state_file):
        return warn("The making of the database was cut off.", "orchestrator doctor --fix", fixable=True)
    kept = {name for name in context.refs.peek() or () if name.startswith(names.RUN_REFS)}
    if kept and kept - {names.RUN_REFS + run_id for run_id in context.known_elsewhere()}:
        return fail("The database is gone, but there are checkpoints.", "orchestrator doctor --recover")
    return ok("No run has been started here yet.")


CHECKS = (
    QuickCheck(
        "layout-ownership",
        "layout",
        ".orchestrator/ is ours and of a version we know",
        "A directory that something else made, or a newer version, is never adopted. One that was lost "
        "while the repository holds checkpoints can be rebuilt.",
        _ownership,
    ),
    QuickCheck(
        "layout-complete",
        "layout",
        "no directory of it is missing",
        "Missing directories are made again; nothing is overwritten.",
        _complete,
    ),
    QuickCheck(
        "legacy-state",
        "layout",
        "no state of an earlier orchestrator lies about",
        "Old and new state side by side tell two stories; `migrate` makes one of them and can be taken back.",
        _earlier_state,
    ),
    QuickCheck(
        "legacy-interrupted",
        "layout",
        "no migration is half done",
        "A killed migration left a journal: it is finished or taken back, never begun again.",
        _interrupted,
    ),
)

STATE_CHECKS = (
    QuickCheck(
        "state-database",
        "state",
        "the database can be read",
        "Runs, events and findings are in state.db. A damaged or missing one is rebuilt from checkpoints.",
        _database,
    ),
)
