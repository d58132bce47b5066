"""The harmonic decoder: in tune whatever its weights are, silent without confidence, streamable."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from timbrel.attributes.measurement import Measurement, measure
from timbrel.contracts import TRACKS, Conditions, DecoderState, Latent
from timbrel.generation.engine import decode_stream
from timbrel.metrics.frame_rate import frame_rate_lines_db
from timbrel.models import harmonic
from timbrel.models.autoencoder import Autoencoder
from timbrel.models.encoders import SpectralEncoder
from timbrel.models.harmonic import HarmonicDecoder
from timbrel.models.posteriors import GaussianPosterior

RATE_HZ, HOP, FRAMES = 48_000, 512, 94


def autoencoder(
    channels: int = 1, *, noise: float = -20.0, seed: int = 0, **settings: int
) -> Autoencoder:
    torch.manual_seed(seed)
    frame = {"width": 16, "blocks": 1, "kernel_frames": 3, "expansion": 2}
    spectrum = {"channels": channels, "window_samples": 2048, "hop_samples": HOP}
    decoder = HarmonicDecoder(
        latent_dim=4, clip_dim=0, sample_rate_hz=RATE_HZ, **spectrum, **frame, **settings,
    )  # fmt: skip
    nn.init.constant_(decoder.noise.values.bias, noise)
    low = decoder.envelope.low
    bins = torch.cat([torch.arange(low), torch.linspace(low, decoder.bins - 1, low)])
    falling = -1.5 * bins.clamp_min(1).log()  # 9 dB per octave, as of strings
    decoder.envelope.values.bias = nn.Parameter(falling.repeat(channels))
    made = Autoencoder(
        sample_rate_hz=RATE_HZ, channels=channels, latent_dim=4, clip_dim=0,
        encoder=SpectralEncoder(phase_bins=8, **spectrum, **frame),
        posterior=GaussianPosterior(width=16, latent_dim=4, clip_dim=0), decoder=decoder,
    )  # fmt: skip
    return made.eval().requires_grad_(False)


def code(
    f0_hz: torch.Tensor, confidence: float = 1.0, seed: int = 0, level_db: float = -30.0
) -> Latent:
    n_frames = len(f0_hz)
    rng = torch.Generator().manual_seed(seed)
    frames = torch.randn(1, 4, 1, generator=rng).expand(-1, -1, n_frames)
    sure = torch.full((1, n_frames), confidence)
    tracks = Conditions(
        f0_hz=f0_hz[None].float(),
        confidence=sure,
        loudness_db=torch.full((1, n_frames), level_db),
        centroid_hz=3 * f0_hz[None].float(),
        hnr_db=torch.full((1, n_frames), 10.0),
    )
    return Latent(frames, torch.zeros(1, 0), tracks)


@pytest.mark.parametrize("f0_hz", [82.4, 131.0, 196.0, 440.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_an_untrained_decoder_is_in_tune(f0_hz: float, seed: int) -> None:
    audio = autoencoder(seed=seed).decode(code(torch.full((FRAMES,), f0_hz), seed=seed))
    found = measure(audio[0].numpy(), RATE_HZ).value("f0_hz")
    assert found is not None
    assert 1200 * np.log2(found / f0_hz) == pytest.approx(0, abs=3)


def test_a_track_moves_the_pitch_of_the_same_code() -> None:
    track = 2 ** torch.linspace(7.0, 8.0, FRAMES)
    audio = autoencoder().decode(code(track))
    found, voiced = measure(audio[0].numpy(), RATE_HZ).track("f0_hz")
    middle = (np.arange(len(found)) + 0.5) * 0.01 * RATE_HZ / HOP - 0.5
    wanted = np.interp(middle, np.arange(FRAMES), track.numpy())
    assert voiced.mean() > 0.9
    assert np.abs(1200 * np.log2(found[voiced] / wanted[voiced]))[3:-3].max() < 20


@pytest.mark.parametrize("octaves", [-0.8, 0.25, 1.3])
def test_partials_that_are_none_of_f0_are_transposed_with_it(octaves: float) -> None:
    """The pitch of one that is loudest, and another's distance from it, in cents."""
    model = autoencoder(noise=-20.0)
    model.decoder.magnitude.weight.zero_()
    model.decoder.deviation.weight.zero_()
    model.decoder.magnitude.bias.fill_(-15.0)
    model.decoder.magnitude.bias[[30, 83, 300]] = torch.tensor([-1.0, -2.0, -2.0])
    latent = code(torch.full((300,), 220.0 * 2**octaves), confidence=0.2)

    def peaks_hz(moved: Tensor | None) -> Tensor:
        given = replace(latent.conditions, transposed_octaves=moved)
        audio = model.decode(replace(latent, conditions=given))[0, 0, 20_000:118_304]
        power = (audio * torch.hann_window(len(audio))).numpy()
        found = np.abs(np.fft.rfft(power, 2 * len(power)))
        at = [
            bin * RATE_HZ / 2048 * 2 ** (0 if moved is None else octaves) for bin in (30, 83, 300)
        ]
        bins = np.arange(len(found)) * RATE_HZ / (2 * len(power))
        near = [np.where(np.abs(np.log2(bins.clip(1) / hz)) < 0.1, found, 0).argmax() for hz in at]
        assert found[near].min() > 0.02 * found.max()
        return torch.tensor(bins[near])

    moved = peaks_hz(torch.full((1, 300), octaves))
    cents = 1200 * (moved / peaks_hz(None)).log2()
    torch.testing.assert_close(cents, torch.full((3,), 1200 * octaves).double(), atol=3, rtol=0)


def test_without_confidence_no_f0_is_heard_and_with_it_nothing_free() -> None:
    model = autoencoder(noisiness=True, modes=3)
    low, high = (model.decode(code(torch.full((FRAMES,), f), 0.0)) for f in (110.0, 880.0))
    assert torch.equal(low, high)
    assert low.abs().max() > 0
    before = model.decode(code(torch.full((FRAMES,), 220.0)))
    nn.init.constant_(model.decoder.magnitude.bias, 2.0)
    assert torch.equal(model.decode(code(torch.full((FRAMES,), 220.0))), before)
    model.decoder.free_where_voiced = 0.2
    assert not torch.equal(model.decode(code(torch.full((FRAMES,), 220.0))), before)


@pytest.mark.parametrize("channels", [1, 2])
def test_the_brightness_is_that_of_the_track(channels: int) -> None:
    assert autoencoder().conditions == TRACKS[:3]  # as bundles of before there was a brightness
    model = autoencoder(channels, brightness=True)
    assert model.conditions == TRACKS[:4]
    latent = code(torch.full((FRAMES,), 110.0))

    def centroid_octaves(track_hz: torch.Tensor) -> float:
        conditions = replace(latent.conditions, centroid_hz=track_hz)
        audio = model.decode(replace(latent, conditions=conditions))[0].numpy()
        found = measure(audio, RATE_HZ).value("log_centroid_octaves")
        assert found is not None
        return found

    middle, low, high = (
        centroid_octaves(torch.full((1, FRAMES), hz)) for hz in (165.0, 150.0, 180.0)
    )
    assert middle - low == pytest.approx(np.log2(165 / 150), abs=0.03)
    assert high - middle == pytest.approx(np.log2(180 / 165), abs=0.03)


def test_noise_is_brought_down_to_the_noisiness_of_the_track_and_never_up() -> None:
    model = autoencoder(brightness=True, noisiness=True)
    assert model.conditions == TRACKS
    envelope = model.decoder.envelope.values.bias
    model.decoder.noise.values.bias.copy_(envelope.clamp_max(float(envelope[8])) - 4.0)
    latent = code(torch.full((FRAMES,), 220.0))

    def hnr_db(asked_db: float) -> float:
        asked = replace(latent.conditions, hnr_db=torch.full((1, FRAMES), asked_db))
        audio = model.decode(replace(latent, conditions=asked))[0].numpy()
        found = measure(audio, RATE_HZ).value("hnr_db")
        assert found is not None
        return found

    learned_db = hnr_db(-20.0)
    assert learned_db == pytest.approx(hnr_db(learned_db - 10.0), abs=1.0)
    assert hnr_db(learned_db + 6.0) == pytest.approx(learned_db + 6.0, abs=2.5)


@pytest.mark.parametrize("asked_db", [-6.0, -12.0])
def test_noise_of_the_tones_colour_is_added_to_a_clean_tone(asked_db: float) -> None:
    model = autoencoder(brightness=True, noisiness=True)
    model.decoder.envelope.values.bias.mul_(0.4)  # as of a horn, 3.6 dB per octave
    latent = code(torch.full((FRAMES,), 220.0))
    clean_db = 24.0

    def measured(balance_db: float) -> Measurement:
        asked = replace(
            latent.conditions,
            centroid_hz=torch.full((1, FRAMES), 8 * 220.0),
            hnr_db=torch.full((1, FRAMES), clean_db + balance_db),
            balance_db=torch.full((1, FRAMES), balance_db),
        )
        return measure(model.decode(replace(latent, conditions=asked))[0].numpy(), RATE_HZ)

    before, after = measured(0.0), measured(asked_db)
    assert before.value("hnr_db") > 30.0  # it has no noise of its own
    assert after.value("hnr_db") == pytest.approx(clean_db + asked_db, abs=3.5)
    brighter = after.value("log_centroid_octaves") - before.value("log_centroid_octaves")
    assert abs(brighter) < 0.1
    assert after.value("f0_hz") == pytest.approx(220.0, rel=2e-3)


@pytest.mark.parametrize("octaves", [-0.8, 1.0, 2.0])
def test_a_control_moves_brightness_as_far_as_asked_and_nothing_else(octaves: float) -> None:
    model = autoencoder(brightness=True, noisiness=True)
    envelope = model.decoder.envelope.values.bias
    model.decoder.noise.values.bias.copy_(envelope.clamp_max(float(envelope[8])) - 4.0)
    latent = code(torch.full((FRAMES,), 220.0))

    def measured(octaves: float, more_tilt_db: float) -> Measurement:
        given = replace(
            latent.conditions,
            centroid_hz=torch.full((1, FRAMES), 660.0 * 2**octaves),
            hnr_db=torch.full((1, FRAMES), 20.0),
            more_tilt_db=torch.full((1, FRAMES), more_tilt_db),
        )
        return measure(model.decode(replace(latent, conditions=given))[0].numpy(), RATE_HZ)

    def moved(name: str, more_tilt_db: float) -> float:
        before = measured(0.0, more_tilt_db)
        return measured(octaves, more_tilt_db).value(name) - before.value(name)

    assert abs(moved("log_centroid_octaves", 0.0) - octaves) > 0.2  # alone it comes not so far
    assert moved("log_centroid_octaves", 26.0) == pytest.approx(octaves, abs=0.1)
    assert moved("loudness_lufs", 26.0) == pytest.approx(0.0, abs=0.5)
    assert moved("hnr_db", 26.0) > -2.0  # no noisier
    assert moved("log_f0_octaves", 26.0) == pytest.approx(0.0, abs=0.003)


@pytest.mark.parametrize(
    ("channels", "settings"),
    [
        (1, {}),
        (1, {"brightness": True}),
        (1, {"noisiness": True, "modes": 3}),
        (2, {"brightness": True, "noisiness": True, "modes": 3}),
    ],
)
@pytest.mark.parametrize("transposed", [False, True])
def test_a_stream_is_the_whole_sound(
    channels: int, settings: dict[str, int], transposed: bool
) -> None:
    model = autoencoder(channels, noise=-6.0, **settings)
    turn = torch.sin(torch.linspace(0.0, 20.0, 300))
    latent = code(2 ** (7.5 + turn), 0.7)
    if transposed:
        given = replace(latent.conditions, transposed_octaves=turn[None])
        latent = replace(latent, conditions=given)
    whole = model.decode(latent)[0].numpy()
    for taken, block_frames in ((7, 40), (300, 33), (100, 512)):
        blocks = [latent.cut(start, start + taken) for start in range(0, 300, taken)]
        streamed = np.concatenate(list(decode_stream(model, blocks, block_frames=block_frames)), 1)
        np.testing.assert_allclose(streamed, whole, atol=2e-4 * np.abs(whole).max())


@pytest.mark.parametrize("n_known", [None, 1, 20])
@pytest.mark.parametrize("channels", [1, 2])
def test_blocks_of_frames_are_the_whole_at_once(
    channels: int, n_known: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = autoencoder(channels, noise=-6.0, brightness=True, noisiness=True, modes=3)
    latent = code(2 ** (7.5 + torch.sin(torch.linspace(0.0, 9.0, FRAMES))), 0.7)
    whole = model.decode_on(latent, DecoderState())
    phases = whole.state.phases
    assert phases is not None
    known = DecoderState(None if n_known is None else phases[:, :n_known])
    for frames in (7, 40):
        monkeypatch.setattr(harmonic, "_BLOCK_FRAMES", frames * channels)
        monkeypatch.setattr(harmonic, "_LEAST_BLOCK_FRAMES", 1)
        found = model.decode_on(latent, known)
        peak = float(whole.audio.abs().max())
        torch.testing.assert_close(found.audio, whole.audio, atol=1e-5 * peak, rtol=0)
        torch.testing.assert_close(found.state.phases, phases, atol=1e-4, rtol=0)


@pytest.mark.parametrize("confidence", [0.0, 1.0])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_level_is_that_of_the_track(confidence: float, channels: int) -> None:
    levels = torch.linspace(-70.0, -10.0, FRAMES)
    latent = code(torch.full((FRAMES,), 220.0), confidence)
    latent = replace(latent, conditions=replace(latent.conditions, loudness_db=levels[None]))
    audio = autoencoder(channels, noise=-8.0).decode(latent)[0].numpy()
    found, _ = measure(audio, RATE_HZ).track("level_k_db")
    middle = (np.arange(len(found)) + 0.5) * 0.01 * RATE_HZ / HOP - 0.5
    wanted = np.interp(middle, np.arange(FRAMES), levels.numpy())
    assert np.abs(found - wanted)[5:-5].max() < 1.5
    assert np.abs(np.median(found - wanted)) < 0.3


def test_a_level_is_made_up_by_the_loudest_bins() -> None:
    decoder = autoencoder().decoder
    spectrum = torch.full((1, 3, decoder.bins), 1e-4, dtype=torch.complex64)
    spectrum[:, :, 40:44] = 2e-3
    spectrum = decoder.window.sum() / 2 * spectrum
    power = spectrum.real.square()
    lift = decoder.level_correction.lift(power, torch.tensor([[-30.0, -40.0, -120.0]]))
    found_db = 10 * ((lift.square() * power) @ decoder.level_correction.heard).log10()
    assert found_db[0, :2].tolist() == pytest.approx([-30, -40], abs=0.01)
    assert lift[0, 0, 41] > 10
    assert lift[0, 0, 100:].max() < 2
    assert lift[0, 2].min() == pytest.approx(0.3, abs=0.1)  # the rest is for the gain of all bins


def test_a_silent_track_is_digital_silence() -> None:
    audio = autoencoder(noise=0.0).decode(code(torch.full((9,), 220.0), 0.5, level_db=-120.0))
    assert not audio.any()


def test_what_is_steady_does_not_come_out_on_the_frame_rate() -> None:
    """A free part alone, its bins at a deviation of their own: no line at multiples of 93.75 Hz."""
    model = autoencoder()
    nn.init.zeros_(model.decoder.deviation.weight)
    nn.init.constant_(model.decoder.deviation.bias, 0.37)
    audio = model.decode(code(torch.full((2 * FRAMES,), 220.0), 0.0))[0].numpy()
    noise = np.random.default_rng(0).standard_normal(audio.shape).astype(np.float32)
    lines_db = frame_rate_lines_db(noise, audio, rate_hz=RATE_HZ, frame_rate_hz=RATE_HZ / HOP)
    assert lines_db < 1
    # It hums where every fourth bin, a multiple of the frame rate, is 26 dB louder.
    nn.init.zeros_(model.decoder.deviation.bias)
    model.decoder.magnitude.bias[::4] += 3.0
    audio = model.decode(code(torch.full((2 * FRAMES,), 220.0), 0.0))[0].numpy()
    lines_db = frame_rate_lines_db(noise, audio, rate_hz=RATE_HZ, frame_rate_hz=RATE_HZ / HOP)
    assert lines_db > 6


def test_tracks_count_among_the_values_per_second() -> None:
    assert autoencoder().latent_values_per_second == pytest.approx(7 * RATE_HZ / HOP)
