"""`doctor`: what is wrong here, and one command for each; repairs; recovery; the footprint."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.cli.screen import Styled
from orchestrator.errors import Refused
from orchestrator.model.json import Json

if TYPE_CHECKING:
    from orchestrator.doctor.context import Context


def doctor(
    ctx: typer.Context,
    quick: Annotated[bool, typer.Option("--quick", help="Only what is found out in an instant.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Repair what can be repaired without risk.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --fix: show what would be done; change nothing.")
    ] = False,
    recover: Annotated[
        bool, typer.Option("--recover", help="Rebuild a lost or damaged .orchestrator/ from the checkpoints.")
    ] = False,
    footprint: Annotated[
        bool, typer.Option("--footprint", help="List everything that this tool wrote, here and elsewhere.")
    ] = False,
    only: Annotated[
        str | None, typer.Option("--only", metavar="ID", help="One check, or all of one group.")
    ] = None,
) -> int:
    """Looks at everything, changes nothing, and exits 1 when something is broken."""
    call = invocation(ctx)
    _check_flags(call, quick=quick, fix=fix, dry_run=dry_run, recover=recover, footprint=footprint, only=only)
    from orchestrator.doctor.context import Context

    context = Context(call.directory, call.environment)
    try:
        if recover:
            return _recover(call, context)
        if footprint:
            return _footprint(call, context)
        if fix:
            return _fix(call, context, only=only, dry_run=dry_run)
        return _examine(call, context, quick=quick, only=only)
    finally:
        context.close()


def _check_flags(
    call: Invocation,
    *,
    quick: bool,
    fix: bool,
    dry_run: bool,
    recover: bool,
    footprint: bool,
    only: str | None,
) -> None:
    if sum((fix, recover, footprint)) > 1:
        raise Refused(
            "Use one of --fix, --recover and --footprint.", code="usage", hint="orchestrator doctor --help"
        )
    if dry_run and not fix:
        raise Refused("--dry-run goes with --fix.", code="usage", hint="orchestrator doctor --fix --dry-run")
    if ((quick or only is not None) and (recover or footprint)) or (quick and fix):
        raise Refused("--quick and --only choose checks.", code="usage", hint="orchestrator doctor --help")
    if not os.path.isdir(call.directory):
        raise Refused(
            f"{call.directory} is not a directory.",
            code="not-a-directory",
            hint="Choose another with -C DIR.",
        )


def _examine(call: Invocation, context: Context, *, quick: bool, only: str | None) -> int:
    from orchestrator.cli.doctor_view import tell
    from orchestrator.doctor.examine import chosen, examine

    answers = examine(context, chosen(quick=quick, only=only))
    return tell(call.screen, answers, everything=only is not None or call.screen.verbose > 0)


def _fix(call: Invocation, context: Context, *, only: str | None, dry_run: bool) -> int:
    from orchestrator.cli.doctor_view import as_json, exit_status, show
    from orchestrator.doctor.diagnosis import worst
    from orchestrator.doctor.examine import chosen, examine
    from orchestrator.doctor.repair import plan_repairs, repair

    checks = chosen(only=only)
    repairs = plan_repairs(context, {check.id for check in checks})
    done: list[dict[str, Json]] = []
    for each in repairs:
        if dry_run:
            call.screen.out("would ", each.sentence)
            done.append({"id": each.check_id, "what": each.sentence, "done": False, "result": ""})
            continue
        result = repair(context, each)
        call.screen.out(
            Styled("done  " if result.done else "left  ", "green" if result.done else "yellow"), result.said
        )
        done.append({"id": each.check_id, "what": each.sentence, "done": result.done, "result": result.said})
    if not repairs:
        call.screen.out("There is nothing that can be repaired from here.")
    answers = examine(context, checks)
    if call.screen.as_json:
        found: dict[str, Json] = {"worst": worst(answers), "checks": as_json(answers)}
        call.screen.json({**found, "repairs": list(done), "dry_run": dry_run})
    elif not dry_run:
        show(call.screen, answers, everything=False)
    return exit_status(answers)


def _recover(call: Invocation, context: Context) -> int:
    from orchestrator.doctor.recover import recover

    done = recover(context, note=lambda sentence: call.screen.note("note: ", sentence))
    if call.screen.as_json:
        call.screen.json(done.as_json())
        return 1 if done.problems else 0
    for sentence in done.sentences():
        call.screen.out(sentence)
    for problem in done.problems:
        call.screen.warn(problem)
    if done.resumable:
        call.screen.note("Next: orchestrator resume ", done.resumable[0])
    return 1 if done.problems else 0


def _footprint(call: Invocation, context: Context) -> int:
    from orchestrator.cli.words import counted, size
    from orchestrator.doctor.footprint import footprint, users_places

    found = footprint(context)
    if call.screen.as_json:
        call.screen.json({**found.as_json(), "user_directories": list(users_places())})
        return 0
    out = call.screen.out
    out(found.directory, "" if found.kinds else "  (nothing)")
    for kind in (*found.kinds, *found.trees_elsewhere):
        out(f"  {kind.name:<24} {size(kind.size_bytes):>10}  {counted(kind.files, 'file')}")
    out("git refs" if found.refs else "git refs  (none)")
    for name, oid in found.refs:
        out(f"  {oid[:12]}  {name}")
    out(f"git objects that nothing else needs: {found.objects:,} ({size(found.object_bytes)})")
    for title, places in (
        ("in the git directory", found.in_git_dir),
        ("outside the repository", found.outside),
    ):
        out(title if places else f"{title}  (nothing)")
        for place in places:
            out("  ", place)
    return 0
