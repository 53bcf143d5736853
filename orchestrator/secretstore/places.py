"""Where the stores are, and the order in which everything is looked at."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.errors import Refused
from orchestrator.fs.disk import Disk
from orchestrator.paths import OrchestratorPaths
from orchestrator.secretstore.lookup import InStore, NativeVariable, Override, OwnVariable, Source
from orchestrator.secretstore.store import Store

REPOSITORY = "repository store"
GLOBAL = "global store"
_LOCK = "secrets.lock"
_REPO_ID = re.compile(r"[0-9a-f]{8,64}")


def repository_store(paths: OrchestratorPaths, repo_id: str, *, committed: bool, disk: Disk) -> Store:
    """Returns the store of one repository; it may not exist yet.

    Raises:
        Refused: `repo-id-invalid`, a layout.json that came with a clone names a place of its own choice.
    """
    if not _REPO_ID.fullmatch(repo_id):
        raise Refused(
            f"{paths.layout_file} names the repository {repo_id[:80]!r}, which no `init` has made.",
            code="repo-id-invalid",
            hint="Take layout.json out of git, remove it, and call: orchestrator init",
        )
    return Store(
        paths.secrets_dir / repo_id,
        label=REPOSITORY,
        lock=paths.locks_dir / _LOCK,
        disk=disk,
        committed=committed,
        alias=paths.base_dir.resolve().name,
    )


def global_store(disk: Disk) -> Store:
    """Returns the user's own store, which serves all repositories; it may not exist yet."""
    place = global_directory()
    return Store(place, label=GLOBAL, lock=place.with_suffix(".lock"), disk=disk)


def global_directory() -> Path:
    """Returns where the user's own store is."""
    import platformdirs  # only callers that look into it pay for it

    return platformdirs.user_data_path("orchestrator", appauthor=False) / "secrets" / "global"


def stored_sources(
    environment: Mapping[str, str], overrides: Mapping[str, str] | None, stores: Sequence[Store]
) -> tuple[Source, ...]:
    """Returns the places that need no configuration, in their order: what is written, variables, stores.

    `overrides` is None where no step is looked at.
    """
    return (
        *((Override(overrides),) if overrides is not None else ()),
        OwnVariable(environment),
        NativeVariable(environment),
        *(InStore(store, environment) for store in stores),
    )


def outside_sources(
    environment: Mapping[str, str],
    providers: Sequence[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]],
    *,
    web_mode: bool,
    trusted: bool,
) -> tuple[Source, ...]:
    """Returns the places that come after the stores: the keyring, then commands in their order.

    `providers` are (argv, names, variables); without trust they are named and not asked.
    """
    from orchestrator.secretstore.outside import FromCommand, Keyring, Provider  # starts processes

    keyring = Keyring("switched off in web mode" if web_mode else "")
    off = "" if trusted else "not approved: orchestrator trust"
    return (keyring, *(FromCommand(Provider(*each), environment, off) for each in providers))
