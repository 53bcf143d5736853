"""Encrypts files of our own to those who can read a store; the encrypted ones take the place of the plain."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from orchestrator.fs.disk import Disk
from orchestrator.fs.failure import told
from orchestrator.secretstore import age
from orchestrator.secretstore.names import SUFFIX
from orchestrator.secretstore.store import Store


class Sealer:
    """Encrypts to the recipients of one store; where it names nobody yet, you become its recipient.

    `store` is asked for when something has to be encrypted, and may refuse.
    """

    def __init__(self, store: Callable[[], Store], environment: Mapping[str, str], disk: Disk) -> None:
        self._store = store
        self._environment = environment
        self._disk = disk

    def require(self) -> None:
        """Makes sure that files can be encrypted, before one has to be; changes nothing.

        Raises:
            Refused: `secrets-not-installed`; `recipient-invalid`; `secret-store-unsafe`.
            CredentialMissing: your private key cannot be used.
        """
        self._store().require_readers(self._environment)

    def seal(self, path: Path) -> Path:
        """Returns the encrypted file `NAME.age`, durable; the plain one is gone.

        The whole file is in memory meanwhile. A kill leaves the plain file, or both; a second call
        finishes it.

        Raises:
            Refused, CredentialMissing: as `require`. DiskFailed: the plain file is still there.
        """
        sealed = path.with_name(path.name + SUFFIX)
        keys = self._store().readers(self._environment)
        with told(path):
            plain = path.read_bytes()
        self._disk.write(sealed, age.encrypt(plain, keys))
        self._disk.remove(path)
        return sealed

    def seal_all(self, directory: Path) -> None:
        """Encrypts the plain files directly in a directory, where nobody may be writing; raises as `seal`."""
        names = sorted(os.listdir(directory)) if directory.is_dir() else []
        for path in (directory / name for name in names if not name.endswith(SUFFIX)):
            if path.is_file() and not path.is_symlink():
                self.seal(path)
