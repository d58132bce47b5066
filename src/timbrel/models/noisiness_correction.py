"""What brings the noise of decoded frames down to a measured level, or adds some, by formula."""

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from timbrel.contracts import Conditions
from timbrel.dsp.stft import power
from timbrel.models.parts import Parts

_LEAST_POWER = 1e-14
_MOST_NEPERS = math.log(10) * 4  # 80 dB

Frames = Float[Tensor, "batch frame"]
Bins = Float[Tensor, "batch frame bin"]


def quietened(
    tonal: Frames, rest: Frames, *, hnr_db: Frames, confidence: Frames
) -> tuple[Frames, Frames]:
    """Factors of a tonal part and of all else whose powers are `tonal` and `rest`.

    Where the tonal part stands out by less than `hnr_db` it does so with them, and the sum of the
    powers is what it was. Where it stands out by more nothing is changed: a tone that moves is less
    periodic than it is noisy. The less certain a pitch is, the less is changed: where there is
    none, the ratio tells nothing of two parts.
    """
    tonal, rest = tonal + _LEAST_POWER, rest + _LEAST_POWER
    wanted = math.log(10) / 10 * hnr_db
    missing = 0.5 * confidence * (wanted - (tonal / rest).log())
    up = (missing.clamp(0.0, _MOST_NEPERS) / 2).exp()
    kept = ((tonal + rest) / (tonal * up.square() + rest / up.square())).sqrt()
    return kept * up, kept / up


def quietened_sum(
    parts: Parts, factor: Tensor, given: Conditions, noise_share: float
) -> Complex[Tensor, "batch frame bin"]:
    """The sum of all parts, as little noisy as `hnr_db` says once they are times `factor`.

    Frames of noise have a share of the power of their bins.
    """
    assert given.hnr_db is not None
    assert given.confidence is not None
    square = factor.square()
    of_harmonic, of_rest = quietened(
        (power(parts.harmonic) * square).sum(2),
        ((power(parts.free) + noise_share * power(parts.noise)) * square).sum(2),
        hnr_db=given.hnr_db,
        confidence=given.confidence,
    )
    rest = parts.free + parts.noise
    return parts.harmonic * of_harmonic[..., None] + rest * of_rest[..., None]


def with_breath(
    magnitude: Bins,
    envelope: Bins,
    tonal: Frames,
    given: Conditions,
    *,
    above_f0: Bins,
    share: float,
) -> Bins:
    """The `magnitude` of noise, and of what `balance_db` below 0 adds in the tone's colour.

    What was learned has no colour where a tone has hardly any noise, so the tone's `envelope` is
    taken, as far as it is `above_f0`: below, it says nothing. Powers of noise add up: it is the
    difference of what there is and what there shall be beside a tone of the power `tonal`. The
    track `hnr_db` has gone along with the balance. Frames of noise have a `share` of the power of
    their bins.
    """
    assert given.balance_db is not None
    assert given.confidence is not None
    assert given.hnr_db is not None
    before_db = given.hnr_db - given.balance_db
    more = 10 ** (-given.hnr_db / 10) - 10 ** (-before_db / 10)
    wanted = tonal * more.clamp_min(0.0) * given.confidence
    colour = (envelope * above_f0).square()
    gain = wanted / (share * colour.sum(2)).clamp_min(_LEAST_POWER)
    return (magnitude.square() + gain[..., None] * colour).sqrt()


def above_f0(f0_hz: Frames, bin_hz: float, bins: int) -> Bins:
    """Factors of bins: 1 from f0 on, and in a straight line to 0 at half of it."""
    hz = torch.arange(bins, device=f0_hz.device) * bin_hz
    return (2 * hz / f0_hz[..., None] - 1).clamp(0.0, 1.0)
