"""Decides whether the layouts that a repository itself supplies may say what `migrate` moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.invocation import Invocation
from orchestrator.errors import OrchestratorError, Refused

if TYPE_CHECKING:
    from orchestrator.migrate.actions import Options
    from orchestrator.migrate.catalogue import Layout
    from orchestrator.migrate.supplied import SuppliedFile
    from orchestrator.workspace import TrustView


@dataclass(frozen=True, slots=True)
class Chosen:
    """The layouts to migrate by, and sentences about those that are left out or not trusted yet."""

    catalogue: tuple[Layout, ...]
    warnings: tuple[str, ...] = ()


def choose(
    call: Invocation, files: Sequence[Path], options: Options, *, looks: bool, trust_now: bool
) -> Chosen:
    """Returns the layouts of the package, of `files`, and of the repository where a person trusts those.

    Who only `looks` sees what they would do, with a warning. While the configuration cannot be read nothing
    can say that they are trusted: they are left out, because `migrate` must work then too.

    Raises:
        Refused: `not-trusted`, `not-confirmed`: nothing was moved; and what reading layouts raises.
    """
    from orchestrator.migrate.catalogue import load_catalogue
    from orchestrator.migrate.supplied import supplied_files

    supplied = supplied_files(Path(call.locate().orchestrator_dir))
    view = None if trust_now or not supplied else _view(call, supplied)
    if supplied and view is None and not trust_now:
        return Chosen(load_catalogue(files=files), (_left_out(supplied),))
    known = load_catalogue(supplied=[one.layout() for one in supplied], files=files)
    if view is None or view.approved:
        return Chosen(known)
    if looks:
        return Chosen(known, (_untrusted(supplied),))
    if not _are_used(call, known, supplied, options):
        return Chosen(load_catalogue(files=files))
    _require_trust(call, view, supplied)
    return Chosen(known)


def _view(call: Invocation, supplied: Sequence[SuppliedFile]) -> TrustView | None:
    from orchestrator.cli.config import load_configuration
    from orchestrator.workspace import view_trust

    try:
        return view_trust(call.locate(), load_configuration(call), layouts=supplied)
    except OrchestratorError:  # `config validate` says what is wrong with it
        return None


def _are_used(
    call: Invocation, known: tuple[Layout, ...], supplied: Sequence[SuppliedFile], options: Options
) -> bool:
    from orchestrator.cli import migrating

    migration = migrating.mover(call, known).migrator.preview(options)
    theirs = {one.layout().name for one in supplied}
    return migration.interrupted is None and any(
        one.target is not None and one.layout in theirs for one in migration.plan.actions
    )


def _require_trust(call: Invocation, view: TrustView, supplied: Sequence[SuppliedFile]) -> None:
    from orchestrator.cli.trusting import ask

    if not call.may_ask:
        raise Refused(
            f"Files would move as {_listed(supplied)} of this repository says, which you have not approved.",
            code="not-trusted",
            hint="Look at it and approve it with: orchestrator trust",
        )
    if not ask(call, view):
        raise Refused("Nothing was moved.", code="not-confirmed", hint="orchestrator migrate --dry-run")


def _left_out(supplied: Sequence[SuppliedFile]) -> str:
    return f"The configuration cannot be read, so {_listed(supplied)} is not used."


def _untrusted(supplied: Sequence[SuppliedFile]) -> str:
    return f"{_listed(supplied)} is not trusted yet; approve it with: orchestrator trust"


def _listed(supplied: Sequence[SuppliedFile]) -> str:
    return ", ".join(one.name for one in supplied)
