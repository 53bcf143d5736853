"""Encrypted secrets: who can read them, whether git may see them, and how old they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.doctor.context import Context
from orchestrator.doctor.diagnosis import Check, Diagnosis, counted, fail, ok, warn
from orchestrator.errors import Refused
from orchestrator.fs.disk import Disk
from orchestrator.fs.temp import PREFIX as TEMP_PREFIX
from orchestrator.paths import names
from orchestrator.secretstore import age, private, recipients
from orchestrator.secretstore.identity import FILE_VARIABLE, own_identity_file
from orchestrator.secretstore.names import SUFFIX
from orchestrator.secretstore.places import global_store, repository_store
from orchestrator.secretstore.store import Store, StoredSecret
from orchestrator.state.layout import lets_secrets_through, require_ours
from orchestrator.state.ownership import PRIVATE_IGNORE_TEXT

_NONE = "No secret is stored."


def _is_committed(context: Context) -> bool:
    return context.loaded().config.secrets.mode == "committed"


def _stores(context: Context) -> tuple[Store, ...]:
    """Returns the stores that exist: the repository's, where it is set up, and the user's own."""
    disk = Disk()
    found = [global_store(disk)]
    try:
        paths = context.require_ours()
        repo_id = require_ours(paths).repo_id
        found.insert(0, repository_store(paths, repo_id, committed=_is_committed(context), disk=disk))
    except Refused:
        pass  # what is wrong with it other checks say
    return tuple(store for store in found if store.directory.is_dir())


def _private(context: Context) -> Diagnosis:
    named = context.environment.get(FILE_VARIABLE, "")
    keys = [own_identity_file(), *([Path(named).expanduser()] if named else [])]
    wrong = [private.complaint(key, private.READ_OR_WRITE) for key in keys]
    for store in _stores(context):
        places = (store.directory, *sorted(store.directory.iterdir()))
        wrong += [private.complaint(place, store.forbidden) for place in places]
    found = [each for each in wrong if each[0]]
    if not found:
        return ok("Only you can use your private key and your secrets.")
    return fail(
        "Others can use your private key or your secrets, so they are refused until that is mended.",
        found[0][1],
        (sentence for sentence, _ in found),
    )


def ignore_file_is_wrong(context: Context) -> bool:
    """Returns whether the ignore file says something else about encrypted secrets than `secrets.mode`."""
    paths = context.require_ours()
    if not paths.ignore_file.is_file() or paths.ignore_file.read_text() == PRIVATE_IGNORE_TEXT:
        return False
    return lets_secrets_through(paths) != _is_committed(context)


def _shared(context: Context) -> Diagnosis:
    place = context.require_ours().secrets_dir
    plain = list(_not_encrypted(context)) if _is_committed(context) else []
    if plain:
        return fail(
            f"{place} is committed and holds what is not encrypted.",
            "Move it out and, where git has it, make it worthless at its issuer.",
            plain,
        )
    tracked = list(_tracked(context))
    if tracked and not _is_committed(context):
        return warn(
            "Git tracks encrypted secrets, but `secrets.mode` is local.",
            f"git rm -r --cached -- {names.DIRECTORY}/{names.SECRETS}",
            tracked,
        )
    if ignore_file_is_wrong(context):
        means = "committed" if _is_committed(context) else "local"
        return warn(
            f"`secrets.mode` is {means}, and the ignore file says otherwise.",
            "orchestrator doctor --fix",
            fixable=True,
        )
    return ok("Git may see encrypted secrets." if _is_committed(context) else "Git sees no secret.")


def _not_encrypted(context: Context) -> Iterator[str]:
    """Yields what git may see of the secrets and anybody could read."""
    paths = context.require_ours()
    candidates = {Path(context.located().home, path) for path in _tracked(context)}
    repo = paths.secrets_dir / require_ours(paths).repo_id
    if repo.is_dir():
        candidates |= {path for path in repo.iterdir() if not path.name.startswith(TEMP_PREFIX)}
    for path in sorted(candidates):
        if path.name != recipients.FILE and not _is_encrypted(path):
            yield str(path)


def _is_encrypted(path: Path) -> bool:
    if path.suffix != SUFFIX or path.is_symlink() or not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(age.BEGIN)) == age.BEGIN


def _tracked(context: Context) -> Iterator[str]:
    git = replace(context.git(), directory=Path(context.located().home))
    for item in git.zsplit("ls-files", "-z", "--", f":(top,literal){names.DIRECTORY}/{names.SECRETS}"):
        yield os.fsdecode(item)


def _recipients(context: Context) -> Diagnosis:
    stores = [store for store in _stores(context) if store.secrets() or store.recipients().lines]
    if not stores:
        return ok(_NONE)
    if not age.is_installed():
        return warn("Secrets are stored, and what opens them is not installed.", age.INSTALL)
    unusable, pending = [], []
    for store in stores:
        named = store.recipients()
        pending += [f"{store.recipients_file}: {key}" for key in named.pending]
        for each in named.entries:
            reason = age.check_recipient(each.key)
            if reason:
                unusable.append(f"{store.recipients_file}:{each.line}: {reason}")
    if unusable:
        return fail(
            "Nothing can be encrypted to some recipients.",
            "orchestrator secrets recipients remove KEY",
            unusable,
        )
    if pending:
        return warn("Removed recipients can still read secrets.", "orchestrator secrets rekey", pending)
    return ok("Every recipient can be used.")


def _age(context: Context) -> Diagnosis:
    limit = context.loaded().config.secrets.max_age_days
    if limit is None:
        return ok("No age is demanded (`secrets.max_age_days`).")
    now = datetime.now(UTC)
    stored: list[tuple[Store, StoredSecret]] = [
        (store, each) for store in _stores(context) for each in store.secrets()
    ]
    if not stored:
        return ok(_NONE)
    old = [
        f"{each.name} in the {store.label}: {(now - each.set_at).days} days"
        for store, each in stored
        if (now - each.set_at).days > limit
    ]
    if not old:
        return ok(f"No secret is older than {counted(limit, 'day')}.")
    return warn(
        f"{counted(len(old), 'secret')} should be replaced: older than {counted(limit, 'day')}.",
        "orchestrator secrets set NAME",
        old,
    )


CHECKS = (
    Check(
        "secrets-private",
        "secrets",
        "only you can use your private key and your secrets",
        "Modes 0600 and 0700; files of a committed store may be read, for they are encrypted.",
        _private,
    ),
    Check(
        "secrets-shared",
        "secrets",
        "git may see what `secrets.mode` says, and nothing in plain text",
        "In committed mode encrypted files and recipients.txt are shared, and nothing else of secrets/.",
        _shared,
    ),
    Check(
        "secrets-recipients",
        "secrets",
        "every recipient can be used, and no removed one can still read",
        "A removed recipient can read what is stored until the next `secrets rekey`.",
        _recipients,
    ),
    Check(
        "secrets-age",
        "secrets",
        "no secret is older than `secrets.max_age_days`",
        "Counted from when its file was written; a fresh clone counts from the clone.",
        _age,
    ),
)
