"""`secrets recipients`: who can read what is stored from now on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.grammar import Command, Group, new_application
from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.cli.secret_stores import GlobalOption, store_of
from orchestrator.cli.table import columns
from orchestrator.errors import OrchestratorError, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.model.json import Json
    from orchestrator.secretstore.recipients import Recipient, Recipients
    from orchestrator.secretstore.store import Store

app = new_application(cls=Group, add_help_option=False, help="Say who can read what is stored from now on.")
_REKEY = "What is stored already is encrypted to them by: orchestrator secrets rekey"


@app.command("add", cls=Command, add_help_option=False)
def add(
    ctx: typer.Context,
    key: Annotated[
        str | None,
        typer.Argument(metavar="KEY", help="Public key of age or SSH, in quotes; your own by default."),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option("--file", metavar="FILE", help="Public keys, one a line, such as a .pub file."),
    ] = None,
    comment: Annotated[str, typer.Option("--comment", metavar="TEXT", help="Whose key it is.")] = "",
    is_global: GlobalOption = False,
) -> int:
    """Let another key read what is stored from now on."""
    call = invocation(ctx)
    if key is not None and file is not None:
        raise Refused(
            "KEY and --file exclude each other.",
            code="usage",
            hint="orchestrator secrets recipients add --help",
        )
    store = store_of(call, is_global=is_global, changes=True)
    keys = _keys(call, key, file)

    def change(named: Recipients) -> Recipients:
        for each in keys:
            named = named.added(each, comment)
        return named

    return _changed(call, store, change)


def _keys(call: Invocation, key: str | None, file: str | None) -> list[str]:
    if key is not None:
        return [key]
    if file is None:
        from orchestrator.fs.disk import Disk
        from orchestrator.secretstore.identity import own_recipient

        return [own_recipient(call.environment, Disk())]
    try:
        with open(os.path.join(call.directory, file), encoding="utf-8", errors="replace") as opened:
            lines = [line.strip() for line in opened.read(1 << 20).splitlines()]
    except OSError as error:
        raise Refused(
            f"{file} cannot be read: {error.strerror}.",
            code="file-unreadable",
            hint="Name another file, or give the key itself.",
        ) from None
    return [line for line in lines if line and not line.startswith("#")]


@app.command("remove", cls=Command, add_help_option=False)
def remove(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The public key, or its whole comment.")],
    is_global: GlobalOption = False,
) -> int:
    """Let a key read nothing of what is stored from now on."""
    call = invocation(ctx)
    store = store_of(call, is_global=is_global, changes=True)
    return _changed(call, store, lambda named: named.removed(_meant(named, key)))


def _meant(named: Recipients, key: str) -> Recipient:
    found = [each for each in named.entries if each.is_meant_by(key)]
    if len(found) != 1:
        raise Refused(
            f"{len(found) or 'No'} recipients are meant by {key[:80]!r}.",
            code="recipient-unknown",
            hint="List them with: orchestrator secrets recipients list",
        )
    return found[0]


def _changed(call: Invocation, store: Store, change: Callable[[Recipients], Recipients]) -> int:
    before = store.recipients().entries
    after = store.change_recipients(change, call.environment)
    if call.screen.as_json:
        _show_json(call, store, after)
        return 0
    had, has = {each.key for each in before}, {each.key for each in after.entries}
    for each in after.entries:
        if each.key not in had:
            call.screen.out(f"added {_named(each)}")
    for each in before:
        if each.key not in has:
            call.screen.out(f"removed {_named(each)}")
    if had == has:
        call.screen.out("Nothing changed: it is a recipient already.")
    elif store.secrets():
        call.screen.note(_REKEY)
    return 0


def _named(recipient: Recipient) -> str:
    return f"{recipient.key} ({recipient.comment})" if recipient.comment else recipient.key


@app.command("list", cls=Command, add_help_option=False)
def list_(ctx: typer.Context, is_global: GlobalOption = False) -> int:
    """List the keys that can read what is stored from now on."""
    call = invocation(ctx)
    store = store_of(call, is_global=is_global)
    named = store.recipients()
    if call.screen.as_json:
        _show_json(call, store, named)
        return 0
    mine = _mine(call)
    rows = [(each.key, "you" if each.key in mine else "", each.comment) for each in named.entries]
    for parts in columns(rows):
        call.screen.out(*parts)
    for key in named.pending:
        call.screen.warn(f"{key} was removed, and secrets are readable with it until: secrets rekey")
    if not rows:
        call.screen.note("Nobody yet; the first `orchestrator secrets set` adds you.")
    return 0


def _show_json(call: Invocation, store: Store, named: Recipients) -> None:
    mine = _mine(call)
    listed: list[Json] = [
        {"key": each.key, "comment": each.comment or None, "mine": each.key in mine} for each in named.entries
    ]
    pending: list[Json] = list(named.pending)
    call.screen.json({"store": store.label, "recipients": listed, "removed_since_rekey": pending})


def _mine(call: Invocation) -> set[str]:
    """Returns one's own public keys, as far as they can be told; makes none."""
    from orchestrator.secretstore.identity import load_identities

    try:
        return {each.public for each in load_identities(call.environment)}
    except OrchestratorError:
        return set()
