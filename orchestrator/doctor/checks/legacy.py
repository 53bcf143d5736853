"""What earlier orchestrators and other tools left here, and how far its migration is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from orchestrator.doctor import earlier
from orchestrator.doctor.context import Context
from orchestrator.doctor.diagnosis import Check, Diagnosis, counted, fail, ok, warn
from orchestrator.errors import Refused
from orchestrator.migrate.catalogue import Layout, load_catalogue
from orchestrator.migrate.record import State, records
from orchestrator.paths import names
from orchestrator.takeover import kept
from orchestrator.takeover.uses import uses


def _root(context: Context) -> Path:
    return context.paths().base_dir


def _present(context: Context, *, ours_to_move: bool) -> list[tuple[Layout, list[str]]]:
    return earlier.present(context.located(), context.environment, ours_to_move=ours_to_move)


def _waiting(context: Context) -> Diagnosis:
    waiting = kept.pending(_root(context))
    if not waiting:
        return ok("No runs wait to be taken over.")
    return warn(
        "Files were moved, but the runs in them are not taken over yet.",
        "orchestrator migrate",
        (record.plan.id for record in waiting),
    )


def _leftovers(context: Context) -> Diagnosis:
    known = records(_root(context))
    done = [record for record in known if record.state is State.COMPLETED and record.originals.is_dir()]
    quarantine = context.paths().orchestrator_dir / names.QUARANTINE
    aside = sorted(os.listdir(quarantine)) if quarantine.is_dir() and not quarantine.is_symlink() else []
    if not done and not aside:
        return ok("No migration left anything behind.")
    evidence = [f"{record.originals}: originals of {record.plan.id}" for record in done]
    evidence += [str(quarantine / name) for name in aside]
    told = (
        f"{counted(len(done), 'migration')} can still be taken back; originals take space until it is final."
    )
    return ok(told + " When it is: orchestrator migrate --finalize", evidence)


def _uses(context: Context) -> Diagnosis:
    counted_uses = uses(context.paths())
    by_name = {layout.name: layout for layout in earlier.catalogue(context.located())}
    present: Sequence[str] = [layout.name for layout, _ in _present(context, ours_to_move=True)]
    told = sorted(name for name in {*counted_uses, *present} if name in by_name)
    if not told:
        return ok("No command has met an earlier layout.")
    evidence = []
    for name in told:
        until, use = by_name[name].read_until, counted_uses.get(name)
        times = f"met {counted(use.count, 'time')}, last on {use.last:%Y-%m-%d}" if use else "never met yet"
        evidence.append(
            f"{name}: {times}; no longer read from version {until.version}, not before {until.date}"
        )
    if not present:
        return ok("Earlier layouts were met; none is here now.", evidence)
    return warn("An earlier layout is here that will not be read forever.", "orchestrator migrate", evidence)


def _others(context: Context) -> Diagnosis:
    named = _present(context, ours_to_move=False)
    evidence = [f"{source} ({layout.title})" for layout, sources in named for source in sources]
    if not evidence:
        return ok("Nothing of other tools lies here.")
    return ok("Other tools, or you, left files that stay where they are.", evidence)


def _readable(context: Context) -> Diagnosis:
    own = context.paths().orchestrator_dir / names.LAYOUTS
    if not own.is_dir():
        return ok("This repository describes no layouts of its own.")
    try:
        count = len(earlier.catalogue(context.located())) - len(load_catalogue())
    except Refused as refusal:
        return fail(refusal.message, refusal.hint)
    return ok(f"{counted(count, 'layout')} of this repository can be read.")


CHECKS = (
    Check(
        "legacy-takeover",
        "layout",
        "the runs of every migration are taken over",
        "Runs wait in the originals while the database or the configuration cannot be read.",
        _waiting,
    ),
    Check(
        "legacy-leftovers",
        "layout",
        "what migrations keep to be taken back",
        "Originals and quarantine take space until `migrate --finalize` puts them into git.",
        _leftovers,
    ),
    Check(
        "legacy-uses",
        "layout",
        "how often an earlier layout was met, and until when it is read",
        "Counted on this machine alone, in `.orchestrator/logs/`; the date comes from the catalogue.",
        _uses,
    ),
    Check(
        "legacy-others",
        "layout",
        "what other tools left here",
        "It is named and never touched.",
        _others,
    ),
    Check(
        "legacy-layouts",
        "layout",
        "layouts of this repository can be read",
        "`.orchestrator/layouts/*.yaml` adds to the catalogue; a broken file stops every migration.",
        _readable,
    ),
)
"""In the order in which they are carried out."""
