"""The data folder: where everything is kept, and the lock that keeps a second Hearth out of it."""

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from appliance.errors import OwnerError


class DataFolder:
    """The folder that holds all of a Hearth. Made (0700) where it does not exist.

    Only who holds the lock may open hearth.db for writing: two processes on one folder would damage it, and two
    listeners on one port would not even notice each other, since the system shares the port out among them.

    Args:
        path: the folder; parents are made too.

    Raises:
        OwnerError: where it cannot be made or used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError as error:
            raise OwnerError(f"{self.path} is a file, but the data folder has to be a folder.") from error
        except OSError as error:
            raise OwnerError(f"The data folder {self.path} cannot be made: {error.strerror}.") from error
        with contextlib.suppress(OSError):  # a mounted volume may belong to somebody else and still be writable
            if self.path.stat().st_mode & 0o077:
                self.path.chmod(0o700)

    @property
    def database(self) -> Path:
        """hearth.db, where all that is precious is."""
        return self.path / "hearth.db"

    @property
    def socket(self) -> Path:
        """hearth.sock, where a running server takes the owner's commands."""
        return self.path / "hearth.sock"

    @property
    def claim_code(self) -> Path:
        """The file with the code that lets its reader claim an unclaimed server."""
        return self.path / "claim-code"

    @property
    def lock_file(self) -> Path:
        """The file that is locked; it stays when nobody holds it."""
        return self.path / "hearth.lock"

    @property
    def is_locked_by_us(self) -> bool:
        """Whether this object holds the lock."""
        return self._lock is not None

    def try_lock(self) -> bool:
        """Take the lock if nobody has it, and say whether we have it now.

        Raises:
            OwnerError: where the folder is not writable.
        """
        if self._lock is not None:
            return True
        try:
            descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise OwnerError(
                f"The data folder {self.path} cannot be written to: {error.strerror}. It must belong to the user that"
                " runs Hearth."
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                return False
            raise OwnerError(f"The data folder {self.path} cannot be locked: {error.strerror}.") from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._lock = descriptor
        return True

    def lock(self) -> None:
        """Take the lock.

        Raises:
            OwnerError: where another process has it, with its number if that is known.
        """
        if self.try_lock():
            return
        holder = ""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            holder = self.lock_file.read_text().strip()
        by = f" (process {holder})" if holder.isdigit() else ""
        raise OwnerError(
            f"Another Hearth{by} is already running on the data folder {self.path}. Stop it first, or give this one a"
            " folder of its own with --data."
        )

    def unlock(self) -> None:
        """Give the lock back; without it nothing happens."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        self.lock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unlock()
