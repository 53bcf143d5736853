"""`config`: show, schema, validate, explain."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.grammar import Command, Group, new_application
from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.cli.table import columns

if TYPE_CHECKING:
    from orchestrator.config.load import LoadedConfig
    from orchestrator.config.prompts import SuppliedPrompt
    from orchestrator.model.json import Json

app = new_application(cls=Group, add_help_option=False)


def load_configuration(call: Invocation) -> LoadedConfig:
    """Returns the configuration that applies here; outside a repository the user's own and the defaults.

    Works before `init`, because a configuration can be checked before anything is made.
    """
    loaded = load_quietly(call)
    for hint in loaded.hints:
        call.screen.note("note: ", hint)
    return loaded


def load_quietly(call: Invocation) -> LoadedConfig:
    """Returns the same without saying anything."""
    from pathlib import Path

    from orchestrator.config.load import load
    from orchestrator.config.withheld import make_known
    from orchestrator.errors import Refused

    try:
        located = call.locate()
    except Refused as refusal:
        if refusal.code != "not-a-repository":
            raise
        loaded = load(repository=None, state_root=Path(call.directory), environment=call.environment)
        make_known(loaded.config, call.redactor)
        return loaded
    loaded = load(
        repository=Path(located.checkout), state_root=Path(located.home), environment=call.environment
    )
    make_known(loaded.config, call.redactor)
    return loaded


@app.command("show", cls=Command, add_help_option=False)
def show(
    ctx: typer.Context,
    origin: Annotated[bool, typer.Option("--origin", help="Where each value comes from.")] = False,
) -> int:
    """Show every value that applies."""
    call = invocation(ctx)
    from orchestrator.config import explain as explaining

    rows = explaining.show(load_configuration(call))
    if call.screen.as_json:
        values: list[Json] = [
            {"key": row.key, "value": row.value, "layer": row.origin.layer, "origin": row.origin.place}
            for row in rows
        ]
        call.screen.json({"values": values})
        return 0
    from orchestrator.cli.screen import encode

    if origin:
        table = [(row.key, row.origin.place, encode(row.value)) for row in rows]
    else:
        table = [(row.key, encode(row.value)) for row in rows]  # type: ignore[misc]  # two columns are fewer
    for parts in columns(table):
        call.screen.out(*parts)
    return 0


@app.command("schema", cls=Command, add_help_option=False)
def schema(ctx: typer.Context) -> int:
    """Print the JSON schema of workflow.yaml."""
    call = invocation(ctx)
    from orchestrator.cli.terminal import write
    from orchestrator.config.json_schema import packaged

    if call.screen.as_json:
        import json

        call.screen.json({"schema": json.loads(packaged())})
        return 0
    write(sys.stdout, packaged().decode())
    return 0


@app.command("validate", cls=Command, add_help_option=False)
def validate(ctx: typer.Context) -> int:
    """Check configuration and templates of prompts; every problem is named with its place."""
    call = invocation(ctx)
    from orchestrator.config.prompts import check_config_prompts

    loaded = load_configuration(call)
    check_config_prompts(loaded.config, _supplied_prompts(call))
    if call.screen.as_json:
        call.screen.json({"valid": True, "digest": loaded.digest})
    call.screen.out("The configuration is valid.")
    return 0


def _supplied_prompts(call: Invocation) -> tuple[SuppliedPrompt, ...]:
    from pathlib import Path

    from orchestrator.config.prompts import supplied_prompts
    from orchestrator.errors import Refused

    try:
        located = call.locate()
    except Refused as refusal:
        if refusal.code != "not-a-repository":
            raise
        return ()
    return supplied_prompts(Path(located.checkout), Path(located.home))


@app.command("explain", cls=Command, add_help_option=False)
def explain(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="For example execution.timeout_s.")],
) -> int:
    """Say what a key means, what applies, and which line says so."""
    call = invocation(ctx)
    from orchestrator.cli.screen import encode
    from orchestrator.config import explain as explaining

    found = explaining.explain(key, load_configuration(call))
    if call.screen.as_json:
        call.screen.json(
            {
                "key": found.key,
                "description": found.description,
                "type": found.type,
                "default": found.default,
                "available": found.is_available,
                "value": found.value,
                "layer": found.origin.layer,
                "origin": found.origin.place,
                "keys": list(found.keys),
            }
        )
        return 0
    facts = [("type", found.type), ("default", "required" if found.is_required else encode(found.default))]
    facts += [("applies", encode(found.value)), ("from", found.origin.place)]
    facts += [("keys", ", ".join(found.keys))] if found.keys else []
    facts += [] if found.is_available else [("", "Not available in this version.")]
    call.screen.out(f"{found.key}: {found.description}")
    for parts in columns(facts):
        call.screen.out("  ", *parts)
    return 0
