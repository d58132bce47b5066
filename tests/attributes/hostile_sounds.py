"""Sounds that recordings hold and measures stumble over, as hypothesis strategies.

Clicks, gaps, steps, bursts, single samples, square waves, steps of level, slides to silence:
`(channel, time)`, float32, from one sample to a third of a second.
"""

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

RATES_HZ = (1000, 8000, 22_050, 44_100, 48_000, 96_000)
KINDS = (
    "silence", "dc", "sine", "square", "noise", "decay", "ramp", "alternating", "denormal", "ones",
)  # fmt: skip
EVENTS = ("click", "impulse", "gap", "step", "burst", "level", "fade")
LEVELS = (1e-44, 1e-30, 1e-9, 3e-5, 1e-3, 0.1, 0.5, 1.0, 40.0, 1e6, 1e30, 3e38)

Sound = tuple[NDArray[np.float32], int]


@st.composite
def sounds(draw: st.DrawFn) -> Sound:
    """A sound `(channel, time)` and its rate in Hz."""
    rate_hz = draw(st.sampled_from(RATES_HZ))
    frames = max(1, round(draw(_lengths_s()) * rate_hz) + draw(st.integers(-2, 2)))
    channels = draw(st.sampled_from((1, 1, 2, 3)))
    first = draw(_voices(frames, rate_hz))
    voices = [first]
    while len(voices) < channels:
        other = draw(st.sampled_from(("copy", "antiphase", "silent", "own")))
        own = {"copy": first, "antiphase": -first, "silent": 0 * first}.get(other)
        voices.append(draw(_voices(frames, rate_hz)) if own is None else own)
    with np.errstate(over="ignore", under="ignore"):
        limit = np.finfo(np.float32).max
        return np.clip(np.stack(voices), -limit, limit).astype(np.float32), rate_hz


def _lengths_s() -> st.SearchStrategy[float]:
    return st.one_of(
        st.sampled_from((0.0, 0.001, 0.01, 0.02, 0.05, 0.1)),
        st.floats(0.0, 0.35, allow_subnormal=False),
    )


@st.composite
def _voices(draw: st.DrawFn, frames: int, rate_hz: int) -> NDArray[np.float64]:
    level = draw(st.sampled_from(LEVELS))
    voice = level * _body(draw(st.sampled_from(KINDS)), frames, rate_hz, draw(_tones()))
    for kind in draw(st.lists(st.sampled_from(EVENTS), max_size=3)):
        at = draw(st.one_of(st.sampled_from((0, frames - 1)), st.integers(0, frames - 1)))
        width = draw(st.one_of(st.integers(1, 64), st.integers(1, frames)))
        _happen(voice, kind, at, width, draw(st.sampled_from(LEVELS)))
    return voice


def _tones() -> st.SearchStrategy[float]:
    """Frequencies as a share of the rate."""
    return st.one_of(st.sampled_from((1e-4, 0.25, 0.5)), st.floats(2e-4, 0.5))


def _body(kind: str, frames: int, rate_hz: int, tone: float) -> NDArray[np.float64]:
    at = np.arange(frames)
    noise = np.random.default_rng(frames).standard_normal(frames)
    wave = np.sin(2 * np.pi * tone * at + 0.1)
    return {
        "silence": np.zeros(frames),
        "dc": np.full(frames, 0.7),
        "sine": wave,
        "square": np.where(wave >= 0, 1.0, -1.0),
        "noise": noise,
        "decay": wave * np.exp(-at / (0.02 * rate_hz)),
        "ramp": at / frames,
        "alternating": np.where(at % 2, -1.0, 1.0),
        "denormal": np.full(frames, 1e-40),
        "ones": np.ones(frames),
    }[kind]


def _happen(voice: NDArray[np.float64], kind: str, at: int, width: int, level: float) -> None:
    inside = slice(at, at + width)
    count = len(voice[inside])
    if kind == "click":
        voice[inside] += level * np.hanning(count + 2)[1:-1]
    elif kind == "impulse":
        voice[at] = level
    elif kind == "gap":
        voice[inside] = 0.0
    elif kind == "step":
        voice[at:] += level
    elif kind == "burst":
        voice[inside] += level * np.random.default_rng(width).standard_normal(count)
    elif kind == "level":
        voice[at:] *= 1e-3
    elif kind == "fade":
        voice[inside] *= np.linspace(1.0, 0.0, count)
