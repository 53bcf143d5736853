"""`migrate`: takes over what earlier orchestrators left; shows it, does it, takes it back, ends it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.errors import Refused

if TYPE_CHECKING:
    from orchestrator.migrate.actions import Options, Plan
    from orchestrator.migrate.catalogue import Layout
    from orchestrator.takeover.moving import Mover


def migrate(  # one parameter per option of the command line
    ctx: typer.Context,
    plan_file: Annotated[
        str | None,
        typer.Argument(
            metavar="[PLANFILE|ID]",
            help="Carry out exactly the plan in this file; after --rollback: the migration.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what would be done, conflicts too, and exit 0; change nothing."),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="As --dry-run; exit 1 when there is something to do.")
    ] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Take the last migration back, or the one named.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Finish an interrupted one; begin none.")] = False,
    finalize: Annotated[
        bool, typer.Option("--finalize", help="Drop what --rollback needs; git keeps the originals.")
    ] = False,
    prefer: Annotated[
        str | None, typer.Option(metavar="old|new", help="Where both exist and differ, keep this one.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help="Only entries of this kind; repeatable.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Copy with this many threads.")] = 1,
    layout: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="Know this layout too; repeatable.")
    ] = None,
    plan_out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the plan into this file; change nothing else.")
    ] = None,
    tracked: Annotated[
        bool, typer.Option("--tracked", help="Move files that git tracks too, in its index.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --rollback: keep what changed since in quarantine.")
    ] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Use the layouts of this repository in this call.")
    ] = False,
) -> int:
    """Dispatches to what was asked for; one of it at a time."""
    call = invocation(ctx)
    from orchestrator.cli import migrating, own_layouts

    verbs = {"--rollback": rollback, "--resume": resume, "--finalize": finalize}
    shows = dry_run or check or plan_out is not None
    asked = [name for name, given in verbs.items() if given]
    _insist_on_sense(asked, shows=shows, plan_file=plan_file, force=force)
    options = _options(prefer, only or (), tracked=tracked)
    mover = migrating.mover(call, (), jobs)  # what goes on with a record needs no catalogue
    name = plan_file if rollback or finalize else None
    if rollback:
        return migrating.take_back(call, mover, name, force=force, dry_run=dry_run)
    if finalize:
        return migrating.finish(call, mover, name)
    if resume:
        return migrating.say_moved(call, mover.resume())
    shown = _read_plan(call, plan_file)
    files = [Path(call.directory, os.path.expanduser(each)) for each in layout or ()]
    wanted = options if shown is None else shown.options
    chosen = own_layouts.choose(call, files, wanted, looks=shows, trust_now=trust)
    mover = migrating.mover(call, chosen.catalogue, jobs)
    remarks = (*chosen.warnings, *_left_in_worktree(call, chosen.catalogue))
    if shows:
        return _show(call, mover, options, remarks, check=check, plan_out=plan_out)
    return migrating.say_moved(call, mover.migrate(options, shown=shown), remarks)


def _insist_on_sense(asked: list[str], *, shows: bool, plan_file: str | None, force: bool) -> None:
    wrong = ""
    if len(asked) > 1:
        wrong = f"{' and '.join(asked)} do not go together."
    elif asked and shows and asked != ["--rollback"]:
        wrong = f"{asked[0]} cannot be tried; it does what it says."
    elif force and "--rollback" not in asked:
        wrong = "--force belongs to --rollback."
    elif plan_file is not None and ((shows and not asked) or asked == ["--resume"]):
        wrong = "A plan file is carried out as it is."
    if wrong:
        raise Refused(wrong, code="usage", hint="Look it up with: orchestrator migrate --help")


def _options(prefer: str | None, only: list[str] | tuple[str, ...], *, tracked: bool) -> Options:
    from orchestrator.migrate.actions import Options
    from orchestrator.migrate.catalogue import Kind

    kinds = [kind.value for kind in Kind]
    unknown = [word for word in only if word not in kinds]
    if unknown:
        raise Refused(
            f"There is no kind {unknown[0]!r}.", code="usage", hint=f"Choose from: {', '.join(kinds)}"
        )
    chosen: Literal["old", "new"] | None = None
    if prefer == "old":
        chosen = "old"
    elif prefer == "new":
        chosen = "new"
    elif prefer is not None:
        raise Refused(f"--prefer takes old or new, not {prefer!r}.", code="usage", hint="--prefer new")
    return Options(only=tuple(Kind(word) for word in only), prefer=chosen, tracked=tracked)


def _read_plan(call: Invocation, plan_file: str | None) -> Plan | None:
    if plan_file is None:
        return None
    from orchestrator.migrate.plan_file import plan_from_file

    path = Path(call.directory, plan_file)
    if not path.is_file():
        raise Refused(
            f"There is no plan file {plan_file}.",
            code="plan-unreadable",
            hint="Make one with: orchestrator migrate --dry-run --plan-out FILE",
        )
    return plan_from_file(path)


def _left_in_worktree(call: Invocation, catalogue: tuple[Layout, ...]) -> tuple[str, ...]:
    """Returns a warning where the linked worktree called from holds old state of its own, which stays."""
    from orchestrator.fs.failure import printable
    from orchestrator.migrate.present import present

    located = call.locate()
    if located.checkout == located.home:
        return ()
    found = present(Path(located.checkout), catalogue)
    sources = dict.fromkeys(printable(source) for _, each in found for source in each)
    if not sources:
        return ()
    return (
        f"This worktree, {printable(located.checkout)}, holds old state of its own, which stays: "
        f"{', '.join(sources)}. Only that of {printable(located.home)} is migrated.",
    )


def _show(
    call: Invocation,
    mover: Mover,
    options: Options,
    remarks: tuple[str, ...],
    *,
    check: bool,
    plan_out: str | None,
) -> int:
    from orchestrator.cli import migrating
    from orchestrator.fs.disk import Disk
    from orchestrator.migrate.plan_file import plan_to_file

    migration, waiting = mover.preview(options)
    if plan_out is not None:
        plan_to_file(migration.plan, Path(call.directory, plan_out), Disk())
    migrating.say_plan(call, migration, [record.plan.id for record in waiting], remarks)
    return 1 if check and (migration.pending or waiting) else 0
