"""`secrets`: set, list, show, which, remove, recipients, rekey."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import secret_recipients, secret_which
from orchestrator.cli.grammar import Command, Group, new_application
from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.cli.secret_stores import (
    GlobalOption,
    NameArgument,
    store_of,
    stores_here,
    unknown_secret,
)
from orchestrator.cli.table import columns
from orchestrator.cli.terminal import is_terminal
from orchestrator.errors import Refused

if TYPE_CHECKING:
    from orchestrator.model.json import Json
    from orchestrator.secretstore.store import Written

app = new_application(cls=Group, add_help_option=False)
app.add_typer(secret_recipients.app, name="recipients", add_help_option=False)


@app.command("set", cls=Command, add_help_option=False)
def set_(
    ctx: typer.Context,
    name: NameArgument,
    value: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    file: Annotated[
        str | None, typer.Option("--file", metavar="FILE", help="Take exactly what this file holds.")
    ] = None,
    is_global: GlobalOption = False,
) -> int:
    """Store a value from standard input, a file, or a prompt that does not show it."""
    call = invocation(ctx)
    from orchestrator.secretstore.names import checked_name

    checked_name(name)
    if value:
        raise Refused(
            "A value on the command line can be seen by everybody on this machine, so none is taken there.",
            code="secret-on-command-line",
            hint=f"Give it on standard input or at the prompt: orchestrator secrets set {name}",
        )
    store = store_of(call, is_global=is_global, changes=True)
    written = store.set(name, _value(call, name, file), call.environment)
    if not written.readable:
        call.screen.warn(f"You cannot read {name} yourself: your key is not among the recipients.")
    if call.screen.as_json:
        call.screen.json(
            {
                "name": name,
                "store": store.label,
                "path": str(store.path(name)),
                "replaced": written.replaced,
                "recipients": written.recipients,
                "readable": written.readable,
            }
        )
    call.screen.out(_said(name, store.label, written))
    return 0


def _said(name: str, label: str, written: Written) -> str:
    verb = "replaced" if written.replaced else "stored"
    noun = "recipient" if written.recipients == 1 else "recipients"
    return f"{verb} {name} in the {label}, for {written.recipients} {noun}"


def _value(call: Invocation, name: str, file: str | None) -> bytes:
    from orchestrator.secretstore.outside import without_line_end
    from orchestrator.secretstore.store import MAX_BYTES

    if file is not None:
        return _held_by(call, file)
    if not is_terminal(sys.stdin):
        data = sys.stdin.buffer.read(MAX_BYTES + 2) if sys.stdin is not None else b""
        return without_line_end(data)
    if not call.may_ask:
        raise Refused(
            f"The value of {name} is missing, and nobody is there to type it.",
            code="answer-needed",
            hint=f"Give it on standard input: orchestrator secrets set {name} < FILE",
        )
    return call.ask_secret(name).encode("utf-8", "surrogateescape")


def _held_by(call: Invocation, file: str) -> bytes:
    import os

    from orchestrator.secretstore.store import MAX_BYTES

    try:
        with open(os.path.join(call.directory, file), "rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise Refused(
            f"{file} cannot be read: {error.strerror}.",
            code="file-unreadable",
            hint="Name another file, or give the value on standard input.",
        ) from None


@app.command("list", cls=Command, add_help_option=False)
def list_(ctx: typer.Context, is_global: GlobalOption = False) -> int:
    """List what is stored, where, and how old it is; shows no value."""
    call = invocation(ctx)
    from datetime import UTC, datetime

    stores = (store_of(call, is_global=True),) if is_global else stores_here(call)
    found = [(store, each) for store in stores for each in store.secrets()]
    now = datetime.now(UTC)
    if call.screen.as_json:
        listed: list[Json] = [
            {
                "name": each.name,
                "store": store.label,
                "path": str(each.path),
                "set_at": each.set_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
                "age_days": (now - each.set_at).days,
            }
            for store, each in found
        ]
        call.screen.json({"secrets": listed})
        return 0
    rows: list[tuple[str, ...]] = [("NAME", "SET", "AGE", "WHERE")]
    rows += [
        (each.name, f"{each.set_at:%Y-%m-%d}", f"{(now - each.set_at).days} d", store.label)
        for store, each in found
    ]
    for parts in columns(rows) if found else []:
        call.screen.out(*parts)
    if not found:
        call.screen.note("Nothing is stored. Store a key with: orchestrator secrets set NAME")
    return 0


@app.command("show", cls=Command, add_help_option=False)
def show(
    ctx: typer.Context,
    name: NameArgument,
    reveal: Annotated[bool, typer.Option("--reveal", help="Print the value itself.")] = False,
    is_global: GlobalOption = False,
) -> int:
    """Show where a stored secret is and, with --reveal, its value."""
    call = invocation(ctx)
    stores = (store_of(call, is_global=True),) if is_global else stores_here(call)
    store = next((each for each in stores if each.has(name)), None)
    if store is None:
        raise unknown_secret(name)
    facts: dict[str, Json] = {"name": name, "store": store.label, "path": str(store.path(name))}
    if not reveal:
        if call.screen.as_json:
            call.screen.json(facts)
        call.screen.out(f"{name} is in the {store.label}: {store.path(name)}")
        call.screen.note("Its value is printed with --reveal.")
        return 0
    _require_person(call)
    call.screen.redactor = None  # to show the value is what it was asked for; many have a shape that is known
    from orchestrator.secretstore.identity import load_identities

    value = store.reveal(name, load_identities(call.environment))
    if value is None:
        raise unknown_secret(name)
    if call.screen.as_json:
        call.screen.json({**facts, "value": value.decode("utf-8", "surrogateescape")})
        return 0
    call.screen.raw(value + b"\n" if is_terminal(sys.stdout) else value)
    return 0


def _require_person(call: Invocation) -> None:
    """Refuses to show values inside an agent's session: it gets what it lists, and asks for no more."""
    from orchestrator.process.marker import MARKER

    if call.environment.get(MARKER):
        raise Refused(
            "This is an agent's own session: values are not shown here.",
            code="nested-session",
            hint="Let the agent or its step list the secret: `secrets: [NAME]` in workflow.yaml.",
        )


app.command("which", cls=Command, add_help_option=False)(secret_which.which)


@app.command("remove", cls=Command, add_help_option=False)
def remove(ctx: typer.Context, name: NameArgument, is_global: GlobalOption = False) -> int:
    """Remove a stored secret for good; asks first."""
    call = invocation(ctx)
    store = store_of(call, is_global=is_global, changes=True)
    if not store.has(name):
        raise unknown_secret(name)
    question = f"Remove {name} from the {store.label}? Nothing can bring it back."
    if not call.confirm(question, otherwise=f"orchestrator secrets remove {name} --yes"):
        raise Refused(f"{name} was kept.", code="not-removed", hint="orchestrator secrets list")
    store.remove(name)
    if call.screen.as_json:
        call.screen.json({"name": name, "store": store.label, "removed": True})
    call.screen.out(f"removed {name} from the {store.label}")
    if store.committed:
        call.screen.note("Git's history keeps the encrypted value: make it worthless at its issuer.")
    return 0


@app.command("rekey", cls=Command, add_help_option=False)
def rekey(ctx: typer.Context, is_global: GlobalOption = False) -> int:
    """Encrypt every secret anew, to the recipients as they are now."""
    call = invocation(ctx)
    from datetime import UTC, datetime

    store = store_of(call, is_global=is_global, changes=True)
    done = store.rekey(call.environment, datetime.now(UTC).date())
    if call.screen.as_json:
        call.screen.json({"store": store.label, "rekeyed": list(done.names), "rotate": list(done.rotate)})
        return 0
    count = len(done.names)
    call.screen.out(f"encrypted {count} {'secret' if count == 1 else 'secrets'} of the {store.label} anew")
    for name in done.rotate:
        call.screen.out(f"rotate {name} at its issuer: whoever was removed may have read it")
    if done.rotate:
        call.screen.note("Copies and git's history keep the old files, which a removed key still opens.")
    return 0
