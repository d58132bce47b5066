"""Errors for the person at the keyboard: what is wrong, with which file or key, what to do."""

import difflib
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


class UserError(Exception):
    """A mistake the user can mend. Stages print its message alone, without a stack trace."""


def without_trace(error: UserError) -> UserError:
    """The mistake alone, where a process that loads data handed it on as the text of its trace."""
    text = str(error)
    if "Original Traceback" not in text:
        return error
    return UserError(text.rpartition(f"{UserError.__module__}.{UserError.__name__}: ")[2].strip())


def did_you_mean(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """`"; did you mean 'trainer.max_steps'?"` for the nearest known word, or `""`.

    >>> did_you_mean("trainer.max_step", ["seed", "trainer.max_steps"])
    "; did you mean 'trainer.max_steps'?"
    """
    nearest = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"; did you mean '{nearest[0]}'?" if nearest else ""


def folder_fault(folder: Path) -> str | None:
    """Why nothing can be read in `folder`, in a few words; None where it can be.

    >>> folder_fault(Path("/nowhere/at all")), folder_fault(Path("/"))
    ('no such folder', None)
    """
    try:
        if not stat.S_ISDIR(os.stat(folder).st_mode):
            return "a file; give the folder that holds it"
        os.stat(os.path.join(folder, "."))
        os.scandir(folder).close()
    except (FileNotFoundError, NotADirectoryError):
        return "no such folder"
    except OSError as error:
        return f"the folder cannot be read: {error.strerror or error}"
    return None


def override_text(value: Any) -> str:
    """`value` as the command line writes it.

    >>> override_text([None, True, 0.1]), override_text({"low": 1, "high": None})
    ('[null,true,0.1]', '{low:1,high:null}')
    """
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(override_text, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{override_text(item)}" for key, item in value.items()) + "}"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value)
