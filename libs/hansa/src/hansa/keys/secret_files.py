"""Files with secrets: nobody but their owner may read them (rule K1)."""

import os
import stat
from pathlib import Path
from typing import Final

from hansa.keys.errors import KeysInvalid

SECRET_BYTES_MAX: Final = 64 << 10
"""Largest key file that is read: keystores and PEM keys have some hundred bytes."""


def read_secret(path: Path) -> bytes:
    """Contents of a file that is ours and closed to others. Raises `KeysInvalid`.

    Owner and mode are those of the opened file, so it cannot be exchanged in between.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError as error:
        raise KeysInvalid(path, "is missing", "make keys with `hansa keys new`") from error
    except OSError as error:
        raise KeysInvalid(path, f"cannot be read ({error.strerror})") from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise KeysInvalid(path, "is not a file")
        if status.st_uid != os.geteuid():
            raise KeysInvalid(
                path, f"belongs to user {status.st_uid}, not to us ({os.geteuid()})", f"chown {os.geteuid()} {path}"
            )
        if mode := stat.S_IMODE(status.st_mode) & 0o077:
            raise KeysInvalid(path, f"others may open it (mode has {mode:03o} beyond 600)", f"chmod 600 {path}")
        data = file.read(SECRET_BYTES_MAX + 1)
    if len(data) > SECRET_BYTES_MAX:
        raise KeysInvalid(path, f"has more than {SECRET_BYTES_MAX} bytes")
    return data


def write_secret(path: Path, data: bytes) -> None:
    """Create a file of mode 600, durable. Never overwrites: raises `KeysInvalid` when it exists."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise KeysInvalid(path, "exists already", "keys are never overwritten: choose another folder") from error
    except OSError as error:
        raise KeysInvalid(path, f"cannot be written ({error.strerror})") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
