"""A sound with a part of it drawn anew, or with more behind its end: in- and outpainting."""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from timbrel.dsp.phase import elapsed_periods
from timbrel.errors import UserError, override_text
from timbrel.generation.engine import AudioBlock, render
from timbrel.generation.prior.bank import BankClip
from timbrel.generation.prior.draw import Draw
from timbrel.generation.prior.flow import FlowPrior
from timbrel.generation.source import FixedSource
from timbrel.generation.tracks import latent_of, rows_of
from timbrel.library.render_settings import RenderSettings
from timbrel.models.autoencoder import Autoencoder

_TIMES = 2.0  # the longest sound, as a multiple of the longest that was learned
_FADE_FRAMES = 4
_MOST_DETUNED = 0.015  # a quarter of a semitone

Array = NDArray[np.float64]


def filled(
    model: Autoencoder,
    prior: FlowPrior,
    sound: BankClip,
    played: FixedSource,
    settings: RenderSettings,
    n_samples: int | None,
) -> Draw:
    """`played` with `settings.span`, in seconds, drawn to fit the rest; `n_samples` cuts it.

    `sound` is the code of the same sound with silence behind it. Where the span reaches beyond the
    end, the sound goes on to where the span ends. A decoder's state goes on from frame to frame, so
    that what follows the span would have another: the audio ahead of the span and behind it is that
    of `played`, cross-faded within the decoder's context.

    Raises UserError where the span begins behind the sound's end, or the sound is longer than twice
    the longest one that the prior learned.
    """
    span = settings.span
    hop, rate_hz = model.hop_samples, model.sample_rate_hz
    start, stop = math.floor(span[0] * rate_hz / hop), math.ceil(span[1] * rate_hz / hop)
    _check(prior, sound, start, stop, hop / rate_hz, override_text(span))
    [latent] = prior.fill(sound, start, stop, settings.seed).source.blocks()
    code = played.latent
    own = rows_of(code)[0].double().numpy()
    rows = np.pad(own, ((0, 0), (0, max(0, stop - code.n_frames))), mode="edge")
    rows[:, start:stop] = rows_of(latent)[0, :, start:stop].numpy()
    if "f0_hz" in model.conditions and stop < code.n_frames:
        row = len(rows) - len(model.conditions) + model.conditions.index("f0_hz")
        rows[row, start:stop] += _in_step(own[row], rows[row], start, stop, hop / rate_hz)
    made = latent_of(
        torch.from_numpy(rows.astype(np.float32))[None], code.clip, tuple(code.conditions.tracks)
    )
    whole = max(played.n_samples, round(span[1] * rate_hz))
    source = FixedSource(made, hop_samples=hop, n_samples=whole)
    before, changed = (np.concatenate(list(render(model, x)), axis=1) for x in (played, source))
    audio = _spliced(
        before,
        changed,
        start=max(0, start - model.decoder_context_frames) * hop,
        stop=stop * hop,
        fade=min(_FADE_FRAMES, model.decoder_context_frames) * hop,
    )
    kept = whole if n_samples is None else min(n_samples, whole)
    source = FixedSource(made, hop_samples=hop, n_samples=kept)
    return Draw(source, ((sound.name, 1.0),), ends=True, cut=kept < whole, audio=audio[:, :kept])


def _check(
    prior: FlowPrior, sound: BankClip, start: int, stop: int, frame_s: float, span: str
) -> None:
    if start > sound.end_frame or start < 0:
        raise UserError(
            f"span={span}: '{sound.name}' ends at {sound.end_frame * frame_s:.2f} s; let the span "
            "begin before that"
        )
    most = _TIMES * prior.longest_frames
    longest = max(sound.end_frame, stop)
    if longest > most:
        raise UserError(
            f"span={span}: '{sound.name}' would be {longest * frame_s:.2f} s long; the prior "
            f"learned from hits and notes of up to {most / _TIMES * frame_s:.2f} s, and fills "
            f"sounds of up to {most * frame_s:.2f} s"
        )


def _in_step(own: Array, made: Array, start: int, stop: int, frame_s: float) -> float:
    """Octaves that `made` is moved by within the span, so that f0 leaves it in the same phase.

    That is at most half a period in all; 0 where the span is so short that it would be heard.
    """
    periods = [
        float(elapsed_periods(torch.from_numpy(2 ** row[None]), frame_s)[0, -1])
        for row in (own[: stop + 1], made[: stop + 1])
    ]
    missing = periods[0] - periods[1]
    missing -= round(missing)
    inside = frame_s * float((2 ** made[start:stop]).sum())
    share = missing / inside
    return math.log2(1 + share) if abs(share) <= _MOST_DETUNED else 0.0


def _spliced(
    before: AudioBlock, changed: AudioBlock, *, start: int, stop: int, fade: int
) -> AudioBlock:
    """`before` to `start`, `changed` to `stop`, and `before` again from `stop + fade` on."""
    made = changed.copy()
    made[:, :start] = before[:, :start]
    if stop < before.shape[1]:
        n = min(fade, before.shape[1] - stop)
        share = (np.arange(n) + 0.5) / max(n, 1)
        made[:, stop : stop + n] += (
            share * (before - changed[:, : before.shape[1]])[:, stop : stop + n]
        )
        made[:, stop + n : before.shape[1]] = before[:, stop + n :]
    return made.astype(np.float32)
