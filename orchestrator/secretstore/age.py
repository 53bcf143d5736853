"""Speaks age: armoured files that the `age` command reads and writes too. The only user of pyrage.

Source: observed with pyrage 1.4.0, whose errors differ in their text alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from orchestrator.errors import CredentialMissing, Failed, Refused
from orchestrator.fs.failure import printable

BEGIN = b"-----BEGIN AGE ENCRYPTED FILE-----"
INSTALL = "pip install 'orchestrator[secrets]'"
_NATIVE = "AGE-SECRET-KEY-1"
_NOT_FOR_US = "No matching keys found"
_LOCKED = "must be decrypted"


class Identity:
    """A private key that was understood; nothing of it is shown."""

    __slots__ = ("key", "public")

    def __init__(self, key: Any, public: str) -> None:
        self.key = key
        self.public = public


def _pyrage() -> Any:
    try:
        import pyrage
    except ImportError:
        raise Refused(
            "Encrypted secrets need the package pyrage, which is not installed.",
            code="secrets-not-installed",
            hint=f"Install it with: {INSTALL}",
        ) from None
    return pyrage


def is_installed() -> bool:
    """Returns whether files can be encrypted and decrypted on this machine."""
    try:
        _pyrage()
    except Refused:
        return False
    return True


def require_installed() -> None:
    """Makes sure that files can be encrypted and decrypted on this machine.

    Raises:
        Refused: `secrets-not-installed`.
    """
    _pyrage()


def new_identity() -> tuple[str, str]:
    """Returns a fresh private key and its public key, both as text.

    Raises:
        Refused: `secrets-not-installed`.
    """
    made = _pyrage().x25519.Identity.generate()
    return str(made), str(made.to_public())


def read_identities(text: bytes, where: str) -> tuple[Identity, ...]:
    """Returns the keys in an identity file of age, or the one of an OpenSSH private key.

    Raises:
        CredentialMissing: `identity-locked`, an SSH key with a passphrase; `identity-invalid`.
        Refused: `secrets-not-installed`.
    """
    if b"PRIVATE KEY-----" in text:
        return (_ssh_identity(text, where),)
    lines = [line.strip() for line in text.decode("utf-8", "replace").splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise _no_identity(where, "it holds no key")
    return tuple(_native_identity(key, where) for key in keys)


def _native_identity(text: str, where: str) -> Identity:
    pyrage = _pyrage()
    if not text.upper().startswith(_NATIVE):
        raise _no_identity(where, f"a line in it does not begin with {_NATIVE}")
    try:
        key = pyrage.x25519.Identity.from_str(text)
    except pyrage.IdentityError as error:
        raise _no_identity(where, str(error)) from None
    return Identity(key, str(key.to_public()))


def _ssh_identity(text: bytes, where: str) -> Identity:
    pyrage = _pyrage()
    try:
        return Identity(pyrage.ssh.Identity.from_buffer(text), "")
    except pyrage.IdentityError as error:
        if _LOCKED in str(error) or b"ENCRYPTED" in text:
            raise CredentialMissing(
                f"The SSH key {where} is protected by a passphrase, which cannot be asked for here.",
                code="identity-locked",
                hint="Name a key without one, or unset ORCHESTRATOR_AGE_IDENTITY to use your own.",
            ) from None
        reason = "only ed25519 and RSA keys work" if "nsupported" in str(error) else str(error)
        raise _no_identity(where, reason) from None


def _no_identity(where: str, reason: str) -> CredentialMissing:
    return CredentialMissing(
        f"{where} is no usable private key: {reason}.",
        code="identity-invalid",
        hint="Give an age key (AGE-SECRET-KEY-1…) or an SSH key of type ed25519 or RSA.",
    )


def check_recipient(key: str) -> str:
    """Returns why nothing can be encrypted to a public key, in words; empty where it can.

    Raises:
        Refused: `secrets-not-installed`.
    """
    try:
        _recipient(key)
    except ValueError as error:
        return str(error)
    return ""


def _recipient(key: str) -> Any:
    pyrage = _pyrage()
    kind = key.split(maxsplit=1)[0] if key.split() else ""
    if kind.startswith(("ecdsa-", "sk-", "ssh-dss")):
        raise ValueError(f"age cannot encrypt to {kind} keys; ed25519 and RSA work")
    if key.upper().startswith(_NATIVE) or "PRIVATE KEY" in key:
        raise ValueError("it is a private key; nobody but its owner may have it")
    try:
        if kind in ("ssh-ed25519", "ssh-rsa"):
            return pyrage.ssh.Recipient.from_str(key)
        return pyrage.x25519.Recipient.from_str(key)
    except pyrage.RecipientError as error:
        raise ValueError(f"it is no public key of age or SSH ({error})") from None


def encrypt(value: bytes, recipients: Iterable[str]) -> bytes:
    """Returns an armoured age file that each of the public keys' owners can read.

    Raises:
        Refused: `secrets-not-installed`.
        ValueError: one of the keys does not work; `check_recipient` says so beforehand.
    """
    armoured: bytes = _pyrage().encrypt(value, [_recipient(key) for key in recipients], armored=True)
    return armoured


def _name_in(path: str) -> str:
    return os.path.basename(path).removesuffix(".age") or "NAME"


def decrypt(data: bytes, identities: Sequence[Identity], path: str) -> bytes:
    """Returns what an age file holds, in armour or not; `path` is named in errors.

    Raises:
        CredentialMissing: `secret-not-for-you`, encrypted to other keys than these.
        Failed: `secret-damaged`, truncated, changed, or no age file.
        Refused: `secrets-not-installed`.
    """
    pyrage = _pyrage()
    shown = printable(path)
    try:
        value: bytes = pyrage.decrypt(data, [identity.key for identity in identities])
    except pyrage.DecryptError as error:
        if str(error) == _NOT_FOR_US:
            raise CredentialMissing(
                f"{shown} is encrypted to other keys than yours.",
                code="secret-not-for-you",
                hint="Somebody who can read it adds you: orchestrator secrets recipients add KEY, then rekey",
            ) from None
        raise Failed(
            f"{shown} is truncated, changed or no age file ({error}).",
            code="secret-damaged",
            hint=f"Take the file back from git, or: orchestrator secrets set {_name_in(shown)}",
        ) from None
    return value
