"""First weights by least squares: a decoder that has been fitted plays, before any step."""

import copy
import math
from functools import partial

import pytest
import torch

from timbrel.contracts import Batch, Conditions
from timbrel.dsp.stft import hann, power, stft
from timbrel.models.autoencoder import Autoencoder
from timbrel.models.ddsp import DdspDecoder
from timbrel.models.encoders import SpectralEncoder
from timbrel.models.first_weights import fit_first, fits_first
from timbrel.models.harmonic import HarmonicDecoder
from timbrel.models.posteriors import GaussianPosterior
from timbrel.models.seen import code_and_tracks
from timbrel.randomness import torch_generator

RATE_HZ, HOP, FRAMES, CODE = 48_000, 512, 48, 6


def autoencoder(
    channels: int = 1, *, code: int = CODE, clip: int = 0, ddsp: bool = False
) -> Autoencoder:
    torch.manual_seed(0)
    frame = {"width": 64, "blocks": 1, "kernel_frames": 3, "expansion": 2}
    spectrum = {"channels": channels, "window_samples": 2048, "hop_samples": HOP}
    kind = (
        partial(DdspDecoder, partials=60, noise_bands=40)
        if ddsp
        else partial(HarmonicDecoder, noisiness=True)
    )
    decoder = kind(
        latent_dim=code, clip_dim=clip, sample_rate_hz=RATE_HZ, brightness=True, dropout=0.5,
        **spectrum, **frame,
    )  # fmt: skip
    return Autoencoder(
        sample_rate_hz=RATE_HZ, channels=channels, latent_dim=code, clip_dim=clip,
        encoder=SpectralEncoder(phase_bins=8, relative=0.5, **spectrum, **frame),
        posterior=GaussianPosterior(width=64, latent_dim=code, clip_dim=clip), decoder=decoder,
    )  # fmt: skip


def notes(seed: int, n_notes: int = 8, channels: int = 1, level: float = 0.2) -> Batch:
    """Tones of 110 to 440 Hz, each with a slope (6 to 18 dB per octave) and a level of its own."""
    rng = torch.Generator().manual_seed(seed)
    time_s = torch.arange(FRAMES * HOP) / RATE_HZ
    f0_hz = 110 * 4 ** torch.rand(n_notes, generator=rng)
    slope = 1 + 2 * torch.rand(n_notes, generator=rng)
    gain = level * 10 ** (-torch.rand(n_notes, generator=rng))
    number = torch.arange(1, 41)[:, None, None]
    phase = 2 * math.pi * number * f0_hz[:, None] * time_s + number**2
    tones = (number ** -slope[:, None] * torch.sin(phase)).sum(0)
    noise = 1e-3 * torch.randn(tones.shape, generator=rng)
    audio = (gain[:, None] * (tones + noise))[:, None].repeat(1, channels, 1)
    level_db = 20 * (audio.square().mean((1, 2)).sqrt()).log10()

    def track(values: torch.Tensor) -> torch.Tensor:
        return values[:, None].repeat(1, FRAMES)

    tracks = Conditions(
        f0_hz=track(f0_hz),
        confidence=torch.ones(n_notes, FRAMES),
        loudness_db=track(level_db),
        centroid_hz=track(f0_hz * (5 - slope)),
        hnr_db=torch.full((n_notes, FRAMES), 30.0),
    )
    index = torch.zeros(n_notes, dtype=torch.int64)
    return Batch(audio, audio, index, index, tracks)


def fitted(model: Autoencoder, batches: list[Batch]) -> Autoencoder:
    assert fit_first(model, batches, lambda number: torch_generator(0, number, "first fit"))
    return model


def distance_db(model: Autoencoder, batch: Batch) -> float:
    """Mean distance of partials (bins within 60 dB of a frame's loudest) of what is decoded."""
    model.eval()
    with torch.no_grad():
        code = model.encode(batch.input, batch.conditions).mean
        given, wanted = (
            power(stft(audio[:, 0], hann(2048), HOP))[..., 4:-4]
            for audio in (model.decode(code), batch.target)
        )
    heard = wanted > 1e-6 * wanted.amax(1, keepdim=True)
    return float((10 * (given / wanted).clamp_min(1e-12).log10()).abs()[heard].mean())


def test_it_plays_notes_that_it_has_not_heard_before_any_step() -> None:
    untrained = distance_db(autoencoder(), notes(seed=99))
    model = fitted(autoencoder(), [notes(seed) for seed in range(6)])
    # The bins between partials are part of it, and noise there is matched as noise: 5 to 6 dB.
    assert distance_db(model, notes(seed=99)) < 9.5 < 0.8 * untrained


@pytest.mark.parametrize("channels", [1, 2])
def test_an_instrument_of_named_parts_is_fitted_too(channels: int) -> None:
    untrained = distance_db(autoencoder(channels, ddsp=True), notes(99, channels=channels))
    batches = [notes(seed, channels=channels) for seed in range(6)]
    model = fitted(autoencoder(channels, ddsp=True), batches)
    assert distance_db(model, notes(99, channels=channels)) < 0.6 * untrained


def test_the_code_is_of_variance_1_and_tells_what_the_tracks_do_not() -> None:
    batches = [notes(seed) for seed in range(6)]
    model = fitted(autoencoder(), batches).eval()
    codes, tracks = [], []
    with torch.no_grad():
        for batch in batches:
            posterior = model.encode(batch.input, batch.conditions)
            both = code_and_tracks(posterior.mean, model.decoder.conditions)
            codes.append(both[..., :CODE].flatten(0, 1))
            tracks.append(both[..., CODE:].flatten(0, 1))
    code, track = torch.cat(codes).double(), torch.cat(tracks).double()
    assert code.mean(0).abs().max() < 1e-3
    of_code = code.T @ code / len(code)
    torch.testing.assert_close(of_code, torch.eye(CODE).double(), rtol=0, atol=2e-3)
    # Nor has one of them the level: it is a track.
    level = track[:, 2] - track[:, 2].mean()
    correlation = (code * level[:, None]).mean(0) / level.square().mean().sqrt()
    assert correlation.abs().max() < 0.5


def test_the_same_batches_give_the_same_weights_and_others_stay_as_they_were() -> None:
    batches = [notes(0), notes(1)]
    begun = autoencoder()
    one, other = fitted(copy.deepcopy(begun), batches), fitted(copy.deepcopy(begun), batches)
    changed = set()
    for name, weights in one.state_dict().items():
        torch.testing.assert_close(weights, other.state_dict()[name], rtol=0, atol=0)
        if not weights.equal(begun.state_dict()[name]):
            changed.add(name.rpartition(".")[0])
    assert changed == {
        "posterior.frame_mean", "decoder.envelope.values", "decoder.noise.values",
        "decoder.magnitude",
    }  # fmt: skip
    assert one.training


def test_of_too_few_frames_with_a_pitch_no_envelope_is_learned() -> None:
    batch = notes(0)
    tracks = batch.conditions
    quiet = Conditions(**{**tracks.tracks, "confidence": torch.full((8, FRAMES), 0.01)})
    batch = Batch(batch.input, batch.target, batch.clip_id, batch.start_sample, quiet)
    begun = autoencoder()
    model = fitted(copy.deepcopy(begun), [batch])
    assert model.decoder.envelope.values.weight.equal(begun.decoder.envelope.values.weight)
    assert not model.decoder.noise.values.weight.equal(begun.decoder.noise.values.weight)


def test_silence_changes_no_layer_to_what_is_not_finite() -> None:
    silent = notes(0, level=0.0)
    tracks = {**silent.conditions.tracks, "loudness_db": torch.full((8, FRAMES), -120.0)}
    silent = Batch(*(silent.input, silent.target, silent.clip_id, silent.start_sample),
                   Conditions(**tracks))  # fmt: skip
    model = fitted(autoencoder(), [notes(1), silent])
    assert all(weights.isfinite().all() for weights in model.state_dict().values())
    begun = autoencoder()
    alone = copy.deepcopy(begun)
    assert not fit_first(alone, [silent], lambda number: torch_generator(0, number, "first fit"))
    assert all(w.equal(begun.state_dict()[name]) for name, w in alone.state_dict().items())


def test_stereo_is_fitted_as_mid_and_side() -> None:
    untrained = distance_db(autoencoder(2), notes(99, channels=2))
    model = fitted(autoencoder(2), [notes(seed, channels=2) for seed in range(6)])
    assert distance_db(model, notes(99, channels=2)) < 0.8 * untrained
    batch = notes(99, channels=2)
    with torch.no_grad():
        left, right = model.decode(model.encode(batch.input, batch.conditions).mean).unbind(1)
    assert (left - right).square().mean() < 0.01 * (left + right).square().mean()


def test_without_a_frame_code_the_decoder_is_fitted_to_the_tracks() -> None:
    model = autoencoder(code=0, clip=4)
    untrained = distance_db(model, notes(99))
    assert distance_db(fitted(model, [notes(seed) for seed in range(6)]), notes(99)) < untrained


def test_who_can_be_fitted() -> None:
    assert fits_first(autoencoder())
    lone = autoencoder()
    lone.decoder = torch.nn.Identity()  # type: ignore[assignment]
    assert not fits_first(lone)
