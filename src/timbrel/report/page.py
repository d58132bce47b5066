"""The kernel of every page: templates, players, pictures, and a file that is whole or not there.

A page is one file: its style, pictures and sounds lie in it, and it loads nothing. Values are
escaped wherever they land; only what this module makes (`Markup`) passes as HTML.
"""

import base64
import hashlib
import io
import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import jinja2
import numpy as np
import soundfile
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

from timbrel.files import write_bytes
from timbrel.words import NOT_KNOWN, duration, printable

TEMPLATES = Path(__file__).with_name("templates")
INK = "#010203"
"""Draw lines and letters in this colour: on the page they take the colour of its text."""

MINUS = "\N{MINUS SIGN}"
_SVG_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "timbrel"}
# What follows "url(#" or '="#', or stands in id="...": names that two drawings must not share.
_SVG_NAME = re.compile(r'(\bid="|url\(#|href="#)')


@dataclass(frozen=True)
class Notice:
    """Something the reader should know: how grave, in a few words, and what it means."""

    kind: Literal["good", "note", "warn", "bad"]
    heading: str
    text: str


def render_page(template: str, **values: Any) -> str:
    """The page that `templates/<template>` makes of `values`, as HTML.

    Templates extend `base.html.j2`, which wants `title`, and takes `lead` (a sentence below it)
    and `contents`, the table of contents as pairs `(id, words)`. The filters `number`, `duration`
    and `printable` stand ready. Raises jinja2's errors where a template wants what is not given.
    """
    return _environment().get_template(template).render(**values)


def write_page(path: Path, html: str) -> None:
    """Write `html` to `path`, whole or not at all; its folder is made. Raises WriteError."""
    # A name that is no valid Unicode shows its bytes as an escape instead of breaking the page.
    write_bytes(path, html.encode("utf-8", "backslashreplace"))


def audio_player(samples: NDArray[np.float32], rate_hz: int, label: str) -> Markup:
    """A player of `samples`, `(channel, time)`, with 16-bit FLAC inside; the level is untouched.

    `label` is what a screen reader calls it. Raises ValueError as `flac_uri`.
    """
    return Markup('<audio controls preload="metadata" aria-label="{}" src="{}"></audio>').format(
        printable(label), flac_uri(samples, rate_hz)
    )


def flac_uri(samples: NDArray[np.float32], rate_hz: int) -> str:
    """`samples`, `(channel, time)`, as 16-bit FLAC in an address that holds it.

    What lies beyond full scale is clipped, as any sound card would. Raises ValueError where
    `samples` has another shape than one or two channels.
    """
    if samples.ndim != 2 or len(samples) not in (1, 2):
        raise ValueError(f"samples of shape {samples.shape}; (channel, time) with 1 or 2 channels")
    finite = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
    integers = np.clip(np.rint(finite * 32768.0), -32768, 32767).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, integers.T, rate_hz, format="FLAC", subtype="PCM_16")
    return f"data:audio/flac;base64,{_base64(file.getvalue())}"


def picture(png: bytes, alt: str) -> Markup:
    """An image, described by `alt` for those who cannot see it."""
    return Markup('<img loading="lazy" alt="{}" src="data:image/png;base64,{}">').format(
        printable(alt), _base64(png)
    )


def drawing(figure: Figure, alt: str) -> Markup:
    """A matplotlib figure as inline SVG, transparent, described by `alt`.

    Its letters are the page's; what is drawn in `INK` takes the colour of the page's text, so that
    one drawing reads in the light and in the dark.
    """
    file = io.StringIO()
    with rc_context(_SVG_STYLE):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = svg.replace(INK, "currentColor")
    digest = hashlib.blake2b((alt + svg).encode("utf-8", "replace"), digest_size=4).hexdigest()
    svg = _SVG_NAME.sub(rf"\g<1>d{digest}-", svg)
    label = Markup('<svg class="drawing" role="img" aria-label="{}"').format(printable(alt))
    return Markup(svg.replace("<svg", label, 1).strip())


def number(value: float | None, digits: int = 3) -> str:
    """`value` to so many significant digits, with a real minus; a dash where it is not known.

    >>> number(0.012345), number(1234.56), number(float("nan")) == number(None) == NOT_KNOWN
    ('0.0123', '1,235', True)
    """
    if value is None or math.isnan(value):
        return NOT_KNOWN
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -4:
        text = f"{value:.{digits - 1}e}"
    else:
        text = f"{value:,.{max(0, digits - 1 - magnitude)}f}"
    return text.replace("-", MINUS)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "duration": duration,
        "printable": lambda value: printable(str(value)),
    }
    return environment
