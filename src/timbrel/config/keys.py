"""Keys of MIDI by their names: C4 is 60, A4 is 69."""

import re

from timbrel.errors import UserError

_NAMES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_KEY = re.compile(r"([A-Ga-g])([#b]?)(-?\d)|(\d{1,3})")
_ONE = r"[A-Ga-g][#b]?-?\d|\d{1,3}"
_RANGE = re.compile(rf"(?P<low>{_ONE})(?:-(?P<high>{_ONE}))?(?::(?P<step>\d{{1,3}}))?")


def key_name(key: float) -> str:
    """The name of the nearest key.

    >>> key_name(60), key_name(61), key_name(0)
    ('C4', 'Db4', 'C-1')
    """
    octave, step = divmod(round(key), 12)
    return f"{_NAMES[step]}{octave - 1}"


def key_numbers(text: str) -> list[int]:
    """The keys of FROM-TO:STEP; of FROM-TO every one.

    Raises UserError for what is no such range, and for keys that MIDI does not have.

    >>> key_numbers("C4-C5:6"), key_numbers("60"), key_numbers("F#3-g3")
    ([60, 66, 72], [60], [54, 55])
    """
    found = _RANGE.fullmatch(text.strip())
    low, high, step = (0, -1, 1)
    if found is not None:
        low = _number(found["low"])
        high = low if found["high"] is None else _number(found["high"])
        step = int(found["step"] or 1)
    if not 0 <= low <= high <= 127 or step < 1:
        raise UserError(f"keys={text}: FROM-TO:STEP, as C2-C6:3 or 36-84:3, from 0 to 127")
    return list(range(low, high + 1, step))


def _number(text: str) -> int:
    letter, sign, octave, number = _KEY.fullmatch(text).groups()  # type: ignore[union-attr]
    if number is not None:
        return int(number)
    return 12 * (int(octave) + 1) + _STEPS[letter.upper()] + {"#": 1, "b": -1, "": 0}[sign]
