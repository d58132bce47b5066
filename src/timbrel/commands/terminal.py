"""What plain commands share on a terminal: their flags, and numbers in words."""

import argparse
from typing import NoReturn

from timbrel.errors import UserError, did_you_mean

UNKNOWN = "-"


class Parser(argparse.ArgumentParser):
    """An argparse parser that reports a mistake in one line, with the nearest flag."""

    def error(self, message: str) -> NoReturn:
        """Raise UserError with `message`."""
        before, found, flags = message.partition("unrecognized arguments: ")
        if found and not before:
            known = [text for action in self._actions for text in action.option_strings]
            flag = flags.split()[0]
            hint = did_you_mean(flag.split("=")[0], known) or f" ({self.prog} --help)"
            raise UserError(f"{flag}: no such flag{hint}")
        raise UserError(f"{self.prog.removeprefix('timbrel ')}: {message}")


def count(number: int | None) -> str:
    """`4155460` as `4.2 M`.

    >>> count(4155460), count(950), count(None)
    ('4.2 M', '950', '-')
    """
    if number is None:
        return UNKNOWN
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f} {letter}"
    return str(number)
