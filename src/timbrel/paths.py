"""Paths as users write them: with `~`, or relative to the working folder."""

import errno
import os
from pathlib import Path

from timbrel.errors import UserError

_SHOWN = 60  # characters of a path that is too long to be one
_NEVER = {
    errno.ENAMETOOLONG: "a file system takes names of 255 bytes and paths of 4096",
    errno.EACCES: "cannot be read: Permission denied; allow this user to enter its folders",
}


def user_path(text: str | Path, key: str = "") -> Path:
    """The path that `text` means, with `~` and `~name` as the shell has them.

    `~name` where no user has that name is a folder called so, if there is one. `key` is what the
    user wrote it behind, if anything, for messages. Raises UserError for a `~` that leads nowhere,
    and for what no file system could hold or nobody may look at; that nothing lies there is no
    mistake yet.
    """
    given = os.fspath(text)
    if not given:
        raise UserError(f"{key}=: empty; name a path, or leave it out")
    shown = given if len(given) <= _SHOWN else f"{given[:_SHOWN]}..."
    where = f"{key}={shown}" if key else f"'{shown}'"
    expanded = os.path.expanduser(given)
    if expanded.startswith("~") and not os.path.lexists(expanded):
        raise UserError(f"{where}: {_nobody(expanded)}")
    path = Path(expanded)
    try:
        path.stat()
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error
    except OSError as error:
        if error.errno in _NEVER:
            raise UserError(f"{where}: {_NEVER[error.errno]}") from error
    # From the root, a name that begins with ~ is nobody's home to whoever expands it again.
    return path.absolute() if path.parts[:1] and path.parts[0].startswith("~") else path


def absolute_path(text: str | Path, key: str) -> Path:
    """As `user_path`, from the root, so that it means the same in every working folder.

    Links stay as they are, but for those before a `..`. Raises UserError as `user_path`.
    """
    path = user_path(text, key).absolute()
    return path.resolve() if ".." in path.parts else path


def _nobody(path: str) -> str:
    name = path.partition("/")[0][1:]
    if not name:
        return "nobody knows your home folder (HOME is not set); write the whole path"
    return f"there is no user '{name}' here, and no folder of that name"
