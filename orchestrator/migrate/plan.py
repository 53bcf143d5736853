"""Says what a migration would do: pure, from a survey alone, so that what is shown is what is done."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.fs.failure import printable
from orchestrator.migrate.actions import (
    Action,
    Options,
    Plan,
    Step,
    Trouble,
    Verb,
    original,
    quarantined,
    record_directory,
)
from orchestrator.migrate.catalogue import How, Kind, Upgrade
from orchestrator.migrate.objections import (
    collisions,
    found_troubles,
    is_tracked,
    joined,
    place_troubles,
    upgrade_troubles,
    warnings,
)
from orchestrator.migrate.survey import Found, OwnMark, Part, Survey
from orchestrator.paths import names

__all__ = ["original", "plan"]


@dataclass(slots=True)
class _Move:
    source: str
    target: str
    is_directory: bool
    mode: int
    tree_files: int
    tree_bytes: int
    new_mode: int | None = None
    replaced_mode: int | None = None
    op: Literal["move", "backup"] = "move"
    shape: str = ""


def plan(survey: Survey, options: Options | None = None) -> Plan:
    """Returns what to do about a survey; equal surveys and options give equal plans."""
    chosen = options or Options()
    name = _new_id(survey)
    actions: list[Action] = []
    steps: list[Step] = []
    troubles: list[Trouble] = list(place_troubles(survey))
    for one in _ordered(survey.found):
        stays = _stays(one, survey, chosen)
        moves = [] if stays else list(_moves(one, name, chosen))
        actions.append(_action(one, stays, moves, name, survey, chosen))
        if not stays:
            troubles += found_troubles(one, survey, chosen)
            if actions[-1].action != "conflict":
                steps += [_step(move, one, survey, len(steps) + at) for at, move in enumerate(moves)]
    if survey.upgrade is not None and survey.mark is not None:
        actions.append(_stamp_action(survey, survey.mark, survey.upgrade))
        steps.append(_stamp_step(survey.mark, name, len(steps)))
    conflicts = tuple(action for action in actions if action.action == "conflict")
    troubles += (*collisions(steps), *upgrade_troubles(survey, chosen))
    crossing = [step for step in steps if step.crosses and step.op == "move"]
    return Plan(
        id=name,
        digest=survey.digest,
        options=chosen,
        place=survey.place,
        layouts=tuple(layout.name for layout in survey.layouts),
        actions=tuple(actions),
        conflicts=conflicts,
        steps=tuple(steps),
        directories=_directories(steps, survey, name),
        index=_index_moves(steps, survey) if chosen.tracked else (),
        troubles=tuple(troubles),
        warnings=tuple(warnings(survey, actions)),
        bytes_needed=sum(step.bytes for step in crossing),
        inodes_needed=sum(step.files for step in crossing),
        same_filesystem=not crossing,
        upgrade=survey.upgrade,
    )


def _new_id(survey: Survey) -> str:
    # From the files alone, so that a repeat and a copy of the repository name the same migration alike.
    name = f"m-{survey.shape[:12]}"
    number = 1
    while (name if number == 1 else f"{name}-{number}") in survey.taken:
        number += 1
    return name if number == 1 else f"{name}-{number}"


def _ordered(found: Iterable[Found]) -> list[Found]:
    """Returns databases after their companions: a log can wait for its database, not the reverse."""
    return sorted(found, key=lambda one: (one.database or one.source, one.source == one.database))


def _stays(one: Found, survey: Survey, options: Options) -> str:
    """Returns why something is left where it is; empty if it is to be moved."""
    if one.private_key:
        return one.entry.reason or "a private key; keep it outside the repository"
    if one.entry.action is How.REPORT:
        return one.entry.reason or "not ours to move"
    if options.only and one.entry.kind not in options.only:
        return "not chosen by --only"
    if survey.upgrade is not None:
        return ""  # all of it goes, or nothing
    if one.file_kind == "link" and one.link_inside:
        return f"a link to {printable(one.link)}, which stays where it is"
    if one.entry.kind is Kind.CONFIG and is_tracked(one.source, survey) and not options.tracked:
        return "tracked by git; it is read where it is (--tracked moves it)"
    return ""


def _moves(one: Found, name: str, options: Options) -> Iterator[_Move]:
    target = one.entry.target_of(one.source)
    imported = original(name, one.source)
    whole = _whole(one, imported)
    if one.entry.action is How.IMPORT or target is None:
        yield whole
    elif one.entry.action is How.SQLITE_BACKUP:
        yield whole
        if one.source == one.database:
            yield _Move(imported, f"{names.DIRECTORY}/{target}", False, 0o600, 0, 0, op="backup")
    elif not one.parts:
        yield _whole(one, f"{names.DIRECTORY}/{target}")
    else:
        for part in one.parts:
            yield from _part_moves(one, part, f"{names.DIRECTORY}/{target}", name, options)


def _whole(one: Found, target: str) -> _Move:
    return _Move(
        one.source,
        target,
        one.file_kind == "directory",
        one.mode,
        one.tree.files,
        one.tree.bytes,
        new_mode=_secret_mode(one, one.file_kind == "directory", one.mode),
        shape=one.tree.shape,
    )


def _part_moves(one: Found, part: Part, target: str, name: str, options: Options) -> Iterator[_Move]:
    source = joined(one.source, part.pair.path)
    new = joined(target, part.pair.path)
    files, size = (part.tree.files, part.tree.bytes) if part.tree else (0, 0)
    secret = _secret_mode(one, part.is_directory, part.mode)
    shape = part.tree.shape if part.tree else ""
    aside = _Move(
        source, quarantined(name, source), part.is_directory, part.mode, files, size, secret, shape=shape
    )
    verdict = part.pair.verdict
    if verdict == "emptied":
        if not part.pair.path:  # what is emptied within it goes along
            aside.target = quarantined(name, f"emptied/{source}")
            yield aside
        return
    if verdict == "same" or (verdict == "different" and options.prefer == "new"):
        yield aside
        return
    replaced = part.target_mode if verdict == "free" else None
    if verdict == "different":
        yield _Move(new, quarantined(name, new), False, part.target_mode or 0, files, size)
    yield _Move(source, new, part.is_directory, part.mode, files, size, secret, replaced, shape=shape)


def _secret_mode(one: Found, is_directory: bool, mode: int) -> int | None:
    wanted = 0o700 if is_directory else 0o600
    return wanted if one.entry.is_sensitive and one.file_kind != "link" and mode != wanted else None


def _step(move: _Move, one: Found, survey: Survey, number: int) -> Step:
    crosses = one.device != survey.device and not move.source.startswith(f"{names.DIRECTORY}/")
    return Step(
        number=number,
        op=move.op,
        source=move.source,
        target=move.target,
        is_directory=move.is_directory,
        mode=move.mode,
        new_mode=move.new_mode,
        replaced_mode=move.replaced_mode,
        shape=move.shape if survey.upgrade is None else "",
        database=one.database if move.op == "move" else "",
        crosses=crosses,
        files=move.tree_files,
        bytes=move.tree_bytes,
    )


def _stamp_step(mark: OwnMark, name: str, number: int) -> Step:
    source = f"{names.DIRECTORY}/{names.LAYOUT}"
    return Step(
        number=number,
        op="stamp",
        source=source,
        target=original(name, source),
        is_directory=False,
        mode=mark.mode,
        files=1,
        bytes=mark.bytes,
    )


def _stamp_action(survey: Survey, mark: OwnMark, upgrade: Upgrade) -> Action:
    source = f"{names.DIRECTORY}/{names.LAYOUT}"
    more = f"; version {survey.current} follows" if upgrade.to_version < survey.current else ""
    return Action(
        source=source,
        target=source,
        action="move",
        kind=Kind.STATE,
        layout=next(layout.name for layout in survey.layouts),
        how=How.MOVE,
        files=1,
        bytes=mark.bytes,
        mode=f"{mark.mode:04o}",
        tracked=is_tracked(source, survey),
        sensitive=False,
        reason=f"version {upgrade.from_version} becomes {upgrade.to_version}{more}",
    )


def _action(
    one: Found, stays: str, moves: Sequence[_Move], name: str, survey: Survey, options: Options
) -> Action:
    different = [part for part in one.parts if part.pair.verdict == "different"]
    verb: Verb
    if stays:
        verb, reason = ("skip" if stays.endswith("--only") else "keep"), stays
    elif different and options.prefer is None:
        places = ", ".join(printable(joined(one.source, part.pair.path)) for part in different[:5])
        verb, reason = "conflict", f"old and new differ: {places}"
    else:
        verb, reason = ("merge" if one.parts else "move"), _said(one)
    target = None if stays else _shown_target(one, name)
    return Action(
        source=one.source,
        target=target,
        action=verb,
        kind=one.entry.kind,
        layout=one.layout,
        how=one.entry.action,
        files=one.tree.files,
        bytes=one.tree.bytes,
        allocated_bytes=one.tree.allocated_bytes,
        mode=f"{one.mode:04o}",
        tracked=is_tracked(one.source, survey),
        sensitive=one.entry.is_sensitive or one.private_key,
        reason=reason,
    )


def _shown_target(one: Found, name: str) -> str:
    target = one.entry.target_of(one.source)
    if target is None or one.entry.action is How.SQLITE_BACKUP:
        return original(name, one.source)
    return f"{names.DIRECTORY}/{target}"


def _said(one: Found) -> str:
    verdicts = [part.pair.verdict for part in one.parts]
    if verdicts == ["same"]:
        return "already there with the same content; the old one goes to quarantine"
    if any(verdict in ("same", "emptied") for verdict in verdicts):
        return "partly there already; the rest is moved"
    if "different" in verdicts:
        return "both differ; the one not preferred goes to quarantine"
    if one.entry.is_sensitive and one.mode & 0o077:
        return f"readable for others ({one.mode:04o}); becomes private"
    return one.entry.reason


def _directories(steps: Sequence[Step], survey: Survey, name: str) -> tuple[str, ...]:
    """Returns the directories to make, parents first: those that were missing, and all within what is new."""
    base = f"{names.DIRECTORY}/"
    fresh = (f"{record_directory(name)}/", f"{names.DIRECTORY}/{names.QUARANTINE}/{name}")
    wanted: set[str] = set()
    for step in steps:
        above = os.path.dirname(step.target)
        while above.startswith(base):
            if above.startswith(fresh) or above.removeprefix(base) in survey.missing:
                wanted.add(above)
            above = os.path.dirname(above)
    moved = {step.target for step in steps}
    return tuple(sorted(path for path in wanted if path not in moved))


def _index_moves(steps: Sequence[Step], survey: Survey) -> tuple[tuple[str, str], ...]:
    return tuple((step.source, step.target) for step in steps if is_tracked(step.source, survey))
