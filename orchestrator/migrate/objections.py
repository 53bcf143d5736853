"""Says what speaks against a plan, as far as a survey alone can tell, and what a user should know."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from orchestrator.fs.failure import printable
from orchestrator.migrate.actions import Action, Options, Step, Trouble
from orchestrator.migrate.survey import Found, Survey
from orchestrator.paths import names


def is_tracked(source: str, survey: Survey) -> bool:
    """Returns whether git tracks the path, or anything below it."""
    return source in survey.git.tracked or any(name.startswith(f"{source}/") for name in survey.git.tracked)


def joined(top: str, path: str) -> str:
    """Returns a path below `top`; an empty one is `top` itself."""
    return f"{top}/{path}" if path else top


def place_troubles(survey: Survey) -> Iterator[Trouble]:
    """Yields what is wrong with `.orchestrator/` or the state of the repository."""
    directory = names.DIRECTORY
    if survey.place == "unsafe":
        yield Trouble(
            code="unsafe-directory",
            message=f"{directory} is a link or a file, not a directory.",
            hint="Move it away, then: orchestrator migrate",
        )
    if survey.place == "older" and survey.upgrade is None:
        yield Trouble(
            code="layout-older",
            message=f"{directory} was made by a version so old that this one cannot bring it up to date.",
            hint="Install a version in between, and call its: orchestrator migrate",
        )
    if survey.place == "newer":
        yield Trouble(
            code="layout-newer",
            message=f"{directory} was made by a newer version.",
            hint="Update orchestrator: pip install --upgrade orchestrator",
        )
    if survey.place == "foreign":
        shown = ", ".join(printable(name) for name in survey.unknown[:5])
        yield Trouble(
            code="foreign-directory",
            message=f"{directory} holds what nobody here knows: {shown}.",
            hint="Move it away if it is not needed, then: orchestrator migrate",
        )
    if survey.git.operation:
        yield Trouble(
            code="operation-in-progress",
            message=f"A {survey.git.operation} is in progress in this repository.",
            hint=f"Finish or abort it first: git {survey.git.operation} --abort",
        )


def upgrade_troubles(survey: Survey, options: Options) -> Iterator[Trouble]:
    """Yields what would make an upgrade of our own layout a half one."""
    if survey.upgrade is not None and options.only:
        yield Trouble(
            code="upgrade-in-part",
            message=f"{names.DIRECTORY} itself is brought up to date, which cannot be done in part.",
            hint="Leave --only out: orchestrator migrate",
        )
    for one in survey.found if survey.upgrade is not None else ():
        if one.private_key:
            yield Trouble(
                code="upgrade-in-part",
                message=f"{printable(one.source)} is a private key, which has no place in it.",
                hint="Move it out of the repository, then: orchestrator migrate",
            )


def found_troubles(one: Found, survey: Survey, options: Options) -> Iterator[Trouble]:
    """Yields why one found thing cannot be moved."""
    shown = printable(one.source)
    if one.file_kind == "link":
        yield Trouble(
            code="link-outside",
            message=f"{shown} is a link to {printable(one.link)}"
            + ("." if one.link_inside else ", outside of this checkout."),
            hint="Put the real thing in its place or remove the link, then: orchestrator migrate",
        )
    if is_tracked(one.source, survey):
        if not options.tracked:
            yield Trouble(
                code="tracked",
                message=f"{shown} is tracked by git, so moving it changes what the next commit holds.",
                hint="Move it in the index too, without committing: orchestrator migrate --tracked",
            )
        elif survey.git.index_lock:
            yield Trouble(
                code="index-locked",
                message="Git's index is locked, so tracked files cannot be moved in it.",
                hint="Wait for git to end. If no git command is running: rm .git/index.lock",
            )
    below = [m for m in survey.mounts if m == one.source or m.startswith(f"{one.source}/")]
    for mount in below:
        yield Trouble(
            code="mount-point",
            message=f"{printable(mount)} is a mount point, which cannot be moved.",
            hint=f"Unmount it, then: orchestrator migrate (umount {printable(mount)})",
        )
    if one.device != survey.device:
        yield from _crossing_troubles(one, shown)


def _crossing_troubles(one: Found, shown: str) -> Iterator[Trouble]:
    wrong = (
        ("special-file", one.tree.special, "is no regular file, so it cannot be copied"),
        ("linked-outside", one.tree.linked_outside, "has hard links elsewhere, which a copy would break"),
        ("path-too-long", one.tree.too_long, "has a path too long to be copied"),
        ("unreadable", one.tree.unscanned, "cannot be read, so it cannot be copied"),
    )  # fmt: skip
    for code, found, words in wrong:
        for name in found[:5]:
            yield Trouble(
                code=code,
                message=f"{printable(joined(one.source, name))} {words}.",
                hint=f"Move it away, or leave {shown} out with --only.",
            )


def collisions(steps: Sequence[Step]) -> Iterator[Trouble]:
    """Yields the targets that two steps have in common."""
    seen: set[str] = set()
    for step in steps:
        if step.target in seen:
            yield Trouble(
                code="target-twice",
                message=f"Two things would go to {printable(step.target)}.",
                hint="Correct the targets of the layout files.",
            )
        seen.add(step.target)


def warnings(survey: Survey, actions: Sequence[Action]) -> Iterator[str]:
    """Yields sentences about links that lose their meaning and secrets that were readable."""
    moving = {action.source for action in actions if action.action in ("move", "merge")}
    for name in survey.pointing:
        yield f"{printable(name)} is a link into what moves; it will lead nowhere."
    for one in survey.found:
        if one.source not in moving:
            continue
        for link in one.dangling:
            place = printable(os.path.join(os.path.dirname(one.source), link))
            yield f"{place} is a link whose meaning changes with the move."
        if one.entry.is_sensitive and one.mode & 0o077:
            yield f"{printable(one.source)} was readable for others ({one.mode:04o}); it may be known."
