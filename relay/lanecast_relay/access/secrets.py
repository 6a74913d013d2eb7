"""Reading what must not be readable by others, and writing it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from lanecast_relay.config.leases import Secret

CREDENTIALS = "$CREDENTIALS_DIRECTORY/"
OTHERS = stat.S_IRWXG | stat.S_IRWXO


class SecretProblem(Exception):
    """A secret is missing, or others can read it. Says where it was looked for, never what it is."""


def located(path: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The file that ``path`` means; raise :class:`SecretProblem` where the service manager's folder is not known."""
    if not path.startswith(CREDENTIALS):
        return Path(path)
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise SecretProblem(f"{path}: CREDENTIALS_DIRECTORY is not set: run under systemd with LoadCredential=")
    return Path(folder) / path.removeprefix(CREDENTIALS)


def private_file(path: Path) -> Path:
    """``path`` again; raise :class:`SecretProblem` when it cannot be read, or when others may read it."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise SecretProblem(f"{path}: {error.strerror}") from None
    except ValueError:
        raise SecretProblem(f"{str(path)!r}: no file can have this name") from None
    if mode & OTHERS:
        raise SecretProblem(f"{path}: others may read it (mode {stat.S_IMODE(mode):04o}): chmod 600 it")
    return path


def read_secret(secret: Secret, environment: Mapping[str, str] = os.environ) -> str:
    """The secret's text; raise :class:`SecretProblem`."""
    if secret.environment is not None:
        value = environment.get(secret.environment)
        if not value:
            raise SecretProblem(f"the environment variable {secret.environment} is not set")
        return value.strip()
    assert secret.file is not None  # the model holds exactly one
    path = private_file(located(secret.file, environment))
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SecretProblem(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        # Its text holds bytes of the secret.
        raise SecretProblem(f"{path}: expected text in UTF-8") from None


def write_private(path: Path, text: str) -> None:
    """Write a new file that only its owner reads; raise ``FileExistsError`` rather than replace one."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as file:
        file.write(text)
