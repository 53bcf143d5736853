"""A directory of encrypted values, one armoured age file each: `NAME.age`, beside `recipients.txt`.

Names are visible, values never. Every change is one atomic write under a lock, so a kill leaves a secret as
it was or as it was to become. Source: docs/decisions/0014.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from orchestrator.errors import OrchestratorError, Refused
from orchestrator.fs.disk import Disk
from orchestrator.fs.failure import printable, told
from orchestrator.secretstore import age, identity, private, recipients
from orchestrator.secretstore.age import Identity
from orchestrator.secretstore.names import SUFFIX, checked_name
from orchestrator.secretstore.recipients import Recipients

MAX_BYTES = 4 << 20
UNSAFE = "secret-store-unsafe"
_PATIENCE_S = 10.0
_FILE = re.compile(r"([A-Z][A-Z0-9_]{0,63})\.age")


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """A secret as anybody may see it. `set_at` is when its file was written, by `set` or by a checkout."""

    name: str
    path: Path
    set_at: datetime


@dataclass(frozen=True, slots=True)
class Written:
    """What came of `set`: whether it replaced a value, who can read it, and whether that includes you."""

    replaced: bool
    recipients: int
    readable: bool


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """What came of `rekey`: the secrets encrypted anew, and those to be rotated where they were issued."""

    names: tuple[str, ...]
    rotate: tuple[str, ...]


class Store:
    """One store. `label` names it to people; with `committed` only its contents are protected by secrecy."""

    def __init__(
        self, directory: Path, *, label: str, lock: Path, disk: Disk, committed: bool = False, alias: str = ""
    ) -> None:
        self.directory = directory
        self.label = label
        self.committed = committed
        self._lock = lock
        self._disk = disk
        self._alias = alias

    @property
    def recipients_file(self) -> Path:
        """Returns the file of those who can read."""
        return self.directory / recipients.FILE

    @property
    def forbidden(self) -> int:
        """Returns the permission bits that its files must not have."""
        return private.WRITE if self.committed else private.READ_OR_WRITE

    def path(self, name: str) -> Path:
        """Returns where a secret is, or would be.

        Raises:
            Refused: `secret-name`.
        """
        return self.directory / f"{checked_name(name)}{SUFFIX}"

    def has(self, name: str) -> bool:
        """Returns whether a secret of that name is stored, readable or not."""
        return os.path.lexists(self.path(name))

    def secrets(self) -> tuple[StoredSecret, ...]:
        """Returns all of them by name; opens none.

        Raises:
            Refused: `secret-store-unsafe`.
        """
        self._require_private()
        try:
            entries = sorted(os.listdir(self.directory))
        except FileNotFoundError:
            return ()
        except OSError:
            with told(self.directory):
                raise
        named = [(found[1], self.directory / entry) for entry in entries if (found := _FILE.fullmatch(entry))]
        return tuple(StoredSecret(name, path, _written(path)) for name, path in named)

    def reveal(self, name: str, identities: Sequence[Identity]) -> bytes | None:
        """Returns the value of a secret, None where there is none.

        Raises:
            CredentialMissing: `secret-not-for-you`.
            Failed: `secret-damaged`, names the file.
            Refused: `secret-store-unsafe`; `unsafe-path`; `secrets-not-installed`.
        """
        path = self.path(name)
        self._require_private(path)
        with told(path):
            data = private.read(path)
        return None if data is None else age.decrypt(data, identities, os.fspath(path))

    def recipients(self) -> Recipients:
        """Returns who can read what is stored from now on; empty where nobody was ever named.

        Raises:
            Refused: `secret-store-unsafe`; `unsafe-path`.
        """
        self._require_private(self.recipients_file)
        with told(self.recipients_file):
            data = private.read(self.recipients_file)
        return recipients.parse(data or b"", os.fspath(self.recipients_file))

    def readers(self, environment: Mapping[str, str]) -> tuple[str, ...]:
        """Returns the public keys that are encrypted to; where nobody is named yet, yours, named from now on.

        Raises:
            Refused: `secret-store-unsafe`; `recipient-invalid`; `secrets-not-installed`.
            Locked: another command has been changing this store for longer than 10 s.
        """
        named = self.recipients()
        if named.entries:
            return named.keys
        with self._changing():
            return self._recipients_or_own(environment).keys

    def require_readers(self, environment: Mapping[str, str]) -> None:
        """Makes sure that `readers` would name somebody; changes nothing.

        Raises:
            Refused: as `readers`; `identity-unsafe`.
            CredentialMissing: nobody is named, and your private key cannot be used.
        """
        age.require_installed()
        named = self.recipients()
        if named.entries:
            named.keys  # noqa: B018 - refuses what cannot be encrypted to
        else:
            identity.require_usable(environment)

    def set(self, name: str, value: bytes, environment: Mapping[str, str]) -> Written:
        """Encrypts and stores a value, durable when it returns; the first one makes you its recipient.

        Raises:
            Refused: `secret-name`; `secret-empty`, `secret-invalid`, `secret-too-large`: of the value;
                `secret-store-unsafe`; `recipient-invalid`; `secrets-not-installed`.
            Locked: another command has been changing this store for longer than 10 s.
        """
        path = self.path(name)
        _check_value(name, value)
        with self._changing():
            keys = self._recipients_or_own(environment).keys
            sealed = age.encrypt(value, keys)
            replaced = os.path.lexists(path)
            self._disk.write(path, sealed)
        return Written(replaced, len(keys), self._opens(sealed, environment))

    def remove(self, name: str) -> bool:
        """Removes a secret for good; returns False where there was none.

        Raises:
            Refused: `secret-name`; `secret-store-unsafe`.
            Locked: another command has been changing this store for longer than 10 s.
        """
        path = self.path(name)
        if not self.directory.is_dir():
            return False
        with self._changing():
            was_there = os.path.lexists(path)
            self._disk.remove(path)
        return was_there

    def change_recipients(
        self, change: Callable[[Recipients], Recipients], environment: Mapping[str, str]
    ) -> Recipients:
        """Rewrites `recipients.txt` as `change` says and returns it; secrets stay as they are until `rekey`.

        Raises:
            Refused: what `change` raises; `recipients-empty`, nobody would be left.
        """
        with self._changing():
            before = self._recipients_or_own(environment)
            after = change(before)
            after.keys  # noqa: B018 - refuses what nobody could read
            if after != before:
                self._disk.write(self.recipients_file, after.encode())
        return after

    def rekey(self, environment: Mapping[str, str], today: date) -> Rekeyed:
        """Encrypts every secret to the recipients now named; a kill leaves each as before or as after.

        Nothing is written unless every secret can be read, and you will be able to read it afterwards: that
        is what makes a second call finish a killed one.

        Raises:
            CredentialMissing, Failed: a secret cannot be read; nothing was changed.
            Refused: `rekey-locks-you-out`; `recipient-invalid`; `secret-store-unsafe`.
        """
        with self._changing():
            named = self.recipients()
            keys = named.keys
            identities = identity.load_identities(environment)
            self._require_access(keys, identities)
            stored = self.secrets()
            values = {each.name: self.reveal(each.name, identities) for each in stored}
            for each in stored:
                facts = os.stat(each.path)
                sealed = age.encrypt(values[each.name] or b"", keys)
                self._disk.write(each.path, sealed, modified_ns=facts.st_mtime_ns)
            rotate = tuple(values) if named.pending else ()
            if named.pending:
                self._disk.write(self.recipients_file, named.settled(today).encode())
        return Rekeyed(tuple(values), rotate)

    def _require_private(self, *files: Path) -> None:
        private.require(self.directory.parent, 0, UNSAFE)  # a clone may bring a link in its place
        for place in (self.directory, *files):
            private.require(place, self.forbidden, UNSAFE)

    def _require_access(self, keys: Sequence[str], identities: Sequence[Identity]) -> None:
        try:
            age.decrypt(age.encrypt(b"probe", keys), identities, "probe")
        except OrchestratorError:
            raise Refused(
                f"{printable(self.recipients_file)} does not name you, so you could read nothing afterwards.",
                code="rekey-locks-you-out",
                hint="Add yourself with `orchestrator secrets recipients add`, or let another one do it.",
            ) from None

    def _recipients_or_own(self, environment: Mapping[str, str]) -> Recipients:
        named = self.recipients()
        if named.entries:
            return named
        own = named.added(identity.own_recipient(environment, self._disk))
        self._disk.write(self.recipients_file, own.encode())
        return own

    def _opens(self, sealed: bytes, environment: Mapping[str, str]) -> bool:
        try:
            age.decrypt(sealed, identity.load_identities(environment), "")
        except OrchestratorError:
            return False
        return True

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Holds the lock of the store, with its directory made, private, and free of what a kill left."""
        from orchestrator.fs.lock import FileLock  # only who changes a store pays for it

        self._disk.make_dir(self._lock.parent)
        lock = FileLock(self._lock, what=f"The {self.label}", command="orchestrator secrets")
        lock.acquire(_PATIENCE_S)
        try:
            self._disk.make_dir(self.directory.parent)
            self._disk.make_dir(self.directory)
            self._require_private()
            for place in {self.directory, self.directory.parent, self._lock.parent}:
                self._disk.sweep_temp(place)
            self._name_it()
            yield
        finally:
            lock.release()

    def _name_it(self) -> None:
        beside = self.directory.with_name(f"{self.directory.name}.alias")
        if self._alias and not os.path.lexists(beside):
            self._disk.write(beside, f"{printable(self._alias)}\n".encode())


def _check_value(name: str, value: bytes) -> None:
    if not value.strip():
        raise Refused(
            f"The value of {name} is empty.",
            code="secret-empty",
            hint=f"Give it on standard input: orchestrator secrets set {name} < FILE",
        )
    if b"\0" in value:
        raise Refused(
            f"The value of {name} holds a NUL byte, which no variable can carry.",
            code="secret-invalid",
            hint="Encode it first, for instance with base64.",
        )
    if len(value) > MAX_BYTES:
        raise Refused(
            f"The value of {name} is too long: at most {MAX_BYTES:,} bytes are stored.",
            code="secret-too-large",
            hint="Store a key that opens it instead.",
        )


def _written(path: Path) -> datetime:
    return datetime.fromtimestamp(os.lstat(path).st_mtime, UTC)
