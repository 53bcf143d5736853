"""Finds the private keys that open secrets, and makes one's own on first use; never inside a repository."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from orchestrator.errors import CredentialMissing
from orchestrator.fs.disk import Disk
from orchestrator.fs.failure import told
from orchestrator.secretstore import age, private
from orchestrator.secretstore.age import Identity

KEY_VARIABLE = "ORCHESTRATOR_AGE_KEY"
"""Holds a private key itself, for machines that have nothing else; it reaches no child process."""
FILE_VARIABLE = "ORCHESTRATOR_AGE_IDENTITY"
"""Names a file with a private key, such as an SSH key; no such file is looked for unasked."""

UNSAFE = "identity-unsafe"
_FILE = "age-identity.txt"
_HEAD = "# Your private key for the secrets of orchestrator. Whoever has it can read them.\n"
_PATIENCE_S = 10.0


def own_identity_file() -> Path:
    """Returns where the user's own private key is kept."""
    import platformdirs  # only callers that open secrets pay for it

    return platformdirs.user_config_path("orchestrator", appauthor=False) / _FILE


def load_identities(environment: Mapping[str, str]) -> tuple[Identity, ...]:
    """Returns the private keys to try: the one in the environment alone, else the file named and one's own.

    Raises:
        CredentialMissing: `identity-missing`, there is none; `identity-invalid`; `identity-locked`.
        Refused: `identity-unsafe`, others could have read it; `secrets-not-installed`.
    """
    key = environment.get(KEY_VARIABLE, "")
    if key:
        return age.read_identities(key.encode("utf-8", "surrogateescape"), f"The variable {KEY_VARIABLE}")
    found = [*_named(environment), *_own()]
    if not found:
        raise CredentialMissing(
            f"There is no private key on this machine: {own_identity_file()} does not exist "
            f"and {KEY_VARIABLE} is not set.",
            code="identity-missing",
            hint=f"Put your key back, set {KEY_VARIABLE}, or make one: orchestrator secrets recipients add",
        )
    return tuple(found)


def _named(environment: Mapping[str, str]) -> tuple[Identity, ...]:
    named = environment.get(FILE_VARIABLE, "")
    if not named:
        return ()
    path = os.path.expanduser(named)
    text = _read(path)
    if text is None:
        raise CredentialMissing(
            f"{FILE_VARIABLE} names {named}, which does not exist.",
            code="identity-missing",
            hint=f"Unset {FILE_VARIABLE}, or let it name a private key.",
        )
    return age.read_identities(text, path)


def _own() -> tuple[Identity, ...]:
    path = own_identity_file()
    text = _read(path)
    return age.read_identities(text, os.fspath(path)) if text is not None else ()


def _read(path: str | Path) -> bytes | None:
    private.require(path, private.READ_OR_WRITE, UNSAFE)
    with told(path):
        return private.read(path)


def own_recipient(environment: Mapping[str, str], disk: Disk) -> str:
    """Returns one's own public key; the private one is made, durable, where there is none yet.

    Raises:
        CredentialMissing: the key that is there cannot be used.
        Refused: `identity-unsafe`; `secrets-not-installed`.
        DiskFailed: it cannot be written.
    """
    if environment.get(KEY_VARIABLE):
        return _public_of_variable(environment)
    found = _own()
    if found:
        return found[0].public
    return _make(own_identity_file(), disk)


def require_usable(environment: Mapping[str, str]) -> None:
    """Makes sure that `own_recipient` would find a key, or could make one; makes none.

    Raises:
        CredentialMissing, Refused: as `own_recipient`.
    """
    if environment.get(KEY_VARIABLE):
        _public_of_variable(environment)
    else:
        _own()


def _public_of_variable(environment: Mapping[str, str]) -> str:
    public = load_identities(environment)[0].public
    if not public:
        raise CredentialMissing(
            f"{KEY_VARIABLE} holds an SSH key, whose public half is not known here.",
            code="identity-invalid",
            hint="Add it first: orchestrator secrets recipients add --file KEY.pub",
        )
    return public


def _make(path: Path, disk: Disk) -> str:
    from orchestrator.fs.lock import FileLock  # only who makes a key pays for it

    disk.make_dir(path.parent)
    lock = FileLock(f"{path}.lock", what="Your private key", command="orchestrator secrets")
    lock.acquire(_PATIENCE_S)
    try:
        disk.sweep_temp(path.parent)
        found = _own()  # somebody else may have made it meanwhile
        if found:
            return found[0].public
        key, public = age.new_identity()
        disk.write(path, f"{_HEAD}# public key: {public}\n{key}\n".encode(), mode=0o600)
    finally:
        lock.release()
    return public
