"""Configuration, version pin and trust."""

from __future__ import annotations

from orchestrator import __version__
from orchestrator.config.trust import describe, user_trust_directory
from orchestrator.config.version_pin import KEY
from orchestrator.doctor.context import Context
from orchestrator.doctor.diagnosis import Check, Diagnosis, counted, fail, ok, skip, warn
from orchestrator.errors import ConfigInvalid, Refused


def _valid(context: Context) -> Diagnosis:
    try:
        loaded = context.loaded()
    except ConfigInvalid as error:
        return fail(error.message, "orchestrator config validate", error.problems)
    except Refused as refusal:
        if refusal.code != KEY:
            raise
        return skip(f"Not looked at: {refusal.message}")
    if loaded.hints:
        return warn(
            "The configuration is valid, with remarks.", "orchestrator config show --origin", loaded.hints
        )
    return ok("The configuration is valid." if loaded.workflow_yaml else "No workflow.yaml: defaults apply.")


def _checks(context: Context) -> Diagnosis:
    verify = context.loaded().config.verify
    categories = ("build", "test", "lint", "security", "custom")
    found = [f"{name}: {len(getattr(verify, name))}" for name in categories if getattr(verify, name)]
    if found:
        return ok("Checks decide whether a result is good.", found)
    return warn(
        "No check is configured, so every result will be unverified.",
        "Write `verify:` into .orchestrator/workflow.yaml; orchestrator config explain verify",
    )


def _pin(context: Context) -> Diagnosis:
    try:
        pinned = context.loaded().config.required_version
    except ConfigInvalid:
        return skip("Not looked at: the configuration is not valid.")
    except Refused as refusal:
        if refusal.code != KEY:
            raise
        return fail(refusal.message, refusal.hint.partition(": ")[2] or refusal.hint)
    if not pinned:
        return ok(f"No version is required; this is {__version__}.")
    return ok(f"{pinned} is required; this is {__version__}.")


def _trusted(context: Context) -> Diagnosis:
    commands, filters = context.commands(), context.repository().local_filters()
    layouts = [one.name for one in context.layouts()]
    if not commands and not filters and not layouts:
        return ok("The repository supplies nothing that would run.")
    if context.is_trusted():
        more = f" and {counted(len(layouts), 'layout')}" if layouts else ""
        return ok(f"You have approved the {counted(len(commands), 'command')}{more} that it supplies.")
    lines = (*(describe(command) for command in commands), *filters, *layouts)
    return warn(
        "The repository supplies what would run, and you have not approved it.", "orchestrator trust", lines
    )


def _store(context: Context) -> Diagnosis:
    try:
        context.trust_store().shown("0" * 16 + "-" + "0" * 64)
    except Refused as refusal:
        return fail(refusal.message, refusal.hint)
    return ok(f"Approvals are kept in {user_trust_directory()}.")


CHECKS = (
    Check(
        "configuration-valid",
        "configuration",
        "the configuration is valid",
        "All layers are read; every problem is named with file and line.",
        _valid,
    ),
    Check(
        "configuration-checks",
        "configuration",
        "a check decides whether results are good",
        "A run without any check completes as unverified.",
        _checks,
    ),
    Check(
        "version-pin",
        "version pin",
        "this version is the one that the repository requires",
        "`required-version` is read before anything else of the file.",
        _pin,
    ),
    Check(
        "trust-repository",
        "trust",
        "what the repository supplies was approved",
        "Nothing that a repository supplies runs before you approve exactly that.",
        _trusted,
    ),
    Check(
        "trust-store",
        "trust",
        "only you can write your approvals",
        "They are kept in your own directory, because a repository must not vouch for itself.",
        _store,
    ),
)
