"""Names and lengths of time in words, for every message, table, page and log; and times read.

How a value of the config is written is `timbrel.errors.override_text`.
"""

import math
import re

from timbrel.errors import UserError

NOT_KNOWN = "\N{EN DASH}"

_DURATION = re.compile(
    r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m(?:in)?)?(?:(?P<s>\d+(?:\.\d+)?)s?)?"
)
_PASSWORD_BEFORE_HOST = re.compile(r"(://[^:/@\s]*:)\S*@")
_PASSWORD_BEHIND = re.compile(r"([?&]password=)[^&'\"\s]*")


def printable(name: str) -> str:
    r"""`name` with everything a terminal might obey, or cannot encode, written as an escape.

    >>> printable("new\nline"), printable("\x1b[2J"), printable("gpj.\u202ewav")
    ('new\\nline', '\\x1b[2J', 'gpj.\\u202ewav')
    """
    if name.isprintable():
        return name
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii")
        for c in name
    )


def without_password(text: str) -> str:
    """`text` with the password of a database's address in it, if there is one, written as `***`.

    >>> without_password("hydra.sweeper.storage=postgresql://ann:secret@host/trials")
    'hydra.sweeper.storage=postgresql://ann:***@host/trials'
    >>> without_password("postgresql://host/trials?user=ann&password=secret")
    'postgresql://host/trials?user=ann&password=***'
    """
    text = _PASSWORD_BEFORE_HOST.sub(r"\1***@", text)
    return _PASSWORD_BEHIND.sub(r"\1***", text)


def duration(seconds: float | None) -> str:
    """`seconds` as a person says it; a dash where they are not known, 0 where they are past.

    >>> duration(0.0312), duration(4.26), duration(64), duration(7380)
    ('31 ms', '4.3 s', '1 min 4 s', '2 h 3 min')
    """
    if seconds is None or not math.isfinite(seconds):
        return NOT_KNOWN
    if seconds < 0.9995:
        return f"{1000 * max(seconds, 0.0):.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def duration_s(text: str) -> float:
    """Seconds of `8m`, `1h30m`, `90s`, `00:08:00`, `08:00` (minutes and seconds) or `480`.

    Raises UserError if `text` is none of these, or not above 0.

    >>> duration_s("1h30m"), duration_s("00:08:00"), duration_s("90")
    (5400.0, 480.0, 90.0)
    """
    compact = text.strip().lower().replace(" ", "")
    clock = re.fullmatch(r"(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)", compact)
    words = _DURATION.fullmatch(compact)
    if clock:
        parts = [float(part or 0) for part in clock.groups()]
    elif words and compact:
        parts = [float(words[unit] or 0) for unit in "hms"]
    else:
        raise UserError(f"'{text}' is not a duration: write 8m, 1h30m, 90s, 00:08:00 or seconds")
    seconds = 3600 * parts[0] + 60 * parts[1] + parts[2]
    if not 0 < seconds < math.inf:
        raise UserError(f"'{text}': a duration must be above 0")
    return seconds
