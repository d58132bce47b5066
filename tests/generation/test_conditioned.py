"""Conditions go wherever a code goes, shown by a decoder that plays the conditions alone."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn

from models.presets import Blocks, Point
from signals import sine
from timbrel.analysis.evaluation import reconstruct, score_parts
from timbrel.analysis.interpolation import interpolations
from timbrel.analysis.latent_gates import measure_code
from timbrel.analysis.latent_statistics import fit_latent_statistics
from timbrel.analysis.parity import front_end_difference, latent_difference
from timbrel.analysis.tracks import tracks_once
from timbrel.contracts import TRACKS, Batch, Columns, Conditions, Latent
from timbrel.data.cache.entry import npy_header
from timbrel.data.cache.store import Clip
from timbrel.data.chunks.conditions import conditions_from, measured_conditions
from timbrel.data.split.parts import Segment
from timbrel.generation import file_source
from timbrel.generation.engine import decode_stream
from timbrel.generation.file_source import FileSource, encode_whole
from timbrel.generation.source import PriorSource
from timbrel.generation.statistics import load_latent_statistics, save_latent_statistics
from timbrel.generation.tracks import latent_of, rows_of
from timbrel.losses.mix import LossMix
from timbrel.models.autoencoder import Autoencoder
from timbrel.training.validation import validate

RATE_HZ, HOP = 48_000, 480


class Hops(Blocks):
    """Blocks of 10 ms."""

    hop_samples = HOP


class F0Signal(nn.Module):
    """Plays f0 in kHz where the frame is voiced: a signal that shows the tracks themselves."""

    hop_samples = HOP
    context_frames = 2
    conditions = TRACKS

    def forward(self, latent: Latent) -> Tensor:
        tracks = latent.conditions.tracks
        shown = tracks["f0_hz"] / 1000 * tracks["confidence"]
        return shown.repeat_interleave(HOP, 1)[:, None]


@pytest.fixture
def model() -> Autoencoder:
    made = Autoencoder(
        sample_rate_hz=RATE_HZ, channels=1, latent_dim=HOP, clip_dim=0,
        encoder=Hops(), posterior=Point(), decoder=F0Signal(),
    )  # fmt: skip
    made.unused = nn.Parameter(torch.zeros(1))  # tells the device
    return made


@pytest.fixture
def notes() -> np.ndarray:
    """A second of 220 Hz, a third of silence, a second of 660 Hz."""
    return np.concatenate([sine(220.0, 1.0), np.zeros(16_000, np.float32), sine(660.0, 1.0)])[None]


def assert_shows_the_notes(audio: np.ndarray) -> None:
    low, silent, high = (audio[0, round(t * RATE_HZ)] for t in (0.5, 1.17, 1.8))
    assert_allclose((low, silent, high), (0.22, 0.0, 0.66), rtol=0.005)


def segment_of(folder: Path, audio: np.ndarray) -> Segment:
    path = folder / "clip.npy"
    path.write_bytes(npy_header(*audio.shape) + audio.astype("<f4").T.tobytes())
    clip = Clip(0, "notes.wav", "0", RATE_HZ, audio.shape[1], 1, path)
    return Segment(clip, 0, clip.n_samples)


def test_tracks_are_those_of_the_sound(notes: np.ndarray) -> None:
    found = measured_conditions(notes, tracks=TRACKS, rate_hz=RATE_HZ, hop_samples=512)
    middle_s = (np.arange(-(-notes.shape[1] // 512)) + 0.5) * 512 / RATE_HZ
    low = (middle_s > 0.1) & (middle_s < 0.9)
    silent = (middle_s > 1.1) & (middle_s < 1.25)
    assert found.f0_hz is not None
    assert found.confidence is not None
    assert found.loudness_db is not None
    assert_allclose(found.f0_hz[0, low], 220.0, rtol=1e-3)
    assert found.confidence[0, low].eq(1).all()
    assert found.confidence[0, silent].eq(0).all()
    assert (found.loudness_db[0, low].mean() - found.loudness_db[0, silent].mean()) > 40
    assert found.centroid_hz is not None
    assert_allclose(found.centroid_hz[0, low], 220.0, rtol=0.05)
    nothing = measured_conditions(notes, tracks=(), rate_hz=RATE_HZ, hop_samples=512)
    assert nothing == Conditions()


def test_where_no_pitch_is_the_nearest_one_waits_and_the_confidence_is_shut() -> None:
    def rows(*tracks: list[float]) -> Tensor:
        return torch.tensor(tracks)[:, None]

    f0_hz = rows([20.0, 20.0, 110.0, 20.0, 20.0, 220.0, 20.0], [20.0] * 7)
    hnr_db = rows([-20.0, -1.0, 40.0, 0.0, 3.0, 6.1, -20.0], [40.0] * 7)
    defined = torch.cat([f0_hz > 20, torch.ones(2, 1, 7, dtype=torch.bool)], dim=1)
    measured = Columns(("f0_hz", "hnr_db"), torch.cat([f0_hz, hnr_db], dim=1), defined)
    made = conditions_from(("f0_hz", "confidence"), measured)
    assert made.f0_hz[0].tolist() == [110.0, 110.0, 110.0, 110.0, 220.0, 220.0, 220.0]
    assert made.f0_hz[1].tolist() == [20.0] * 7
    assert made.confidence[0, [0, 1, 2, 3, 5, 6]].tolist() == [0.0, 0.0, 1.0, 0.0, 1.0, 0.0]
    assert 0.4 < made.confidence[0, 4] < 0.7  # 3 dB, a periodicity of 2/3: half open
    assert made.confidence[1].tolist() == [0.0] * 7


def test_the_brightness_of_silence_is_that_of_the_nearest_frame_that_sounds() -> None:
    values = torch.tensor([[[0.0, 500.0, 0.0, 0.0, 2000.0]]])
    made = conditions_from(("centroid_hz",), Columns(("centroid_hz",), values, values > 0))
    assert made.centroid_hz[0].tolist() == [500.0, 500.0, 500.0, 2000.0, 2000.0]


def test_an_encoded_sound_carries_them_streamed_or_whole(
    model: Autoencoder, notes: np.ndarray, tmp_path: Path
) -> None:
    code = encode_whole(model, notes)
    whole = model.decode(code)[0].numpy()
    assert_shows_the_notes(whole)
    for taken in (9, code.n_frames):
        blocks = [code.cut(start, start + taken) for start in range(0, code.n_frames, taken)]
        streamed = np.concatenate(list(decode_stream(model, blocks, block_frames=17)), axis=1)
        assert_allclose(streamed, whole, atol=1e-7)
    soundfile.write(tmp_path / "notes.wav", notes.T, RATE_HZ, subtype="FLOAT")
    source = FileSource(tmp_path / "notes.wav", model=model, downmix="mean", block_frames=50)
    assert_shows_the_notes(np.concatenate(list(decode_stream(model, source.blocks())), axis=1))


def test_evaluation_and_its_gates_carry_them(
    model: Autoencoder, notes: np.ndarray, tmp_path: Path
) -> None:
    assert_shows_the_notes(reconstruct(model, notes).audio)
    segment = segment_of(tmp_path, notes)
    assert latent_difference(model, segment) == 0.0
    early, late = (replace(segment, start_sample=a, stop_sample=a + 24_000) for a in (0, 70_000))
    assert measure_code(model, [early, late]).decode_change > 0.1
    (smoothness,) = interpolations(model, [early, late], 24_000)
    assert np.isnan(smoothness) or smoothness > 0.3


def test_an_evaluation_measures_the_tracks_of_a_recording_once(
    model: Autoencoder, notes: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counted(*rest: object, **words: object) -> Conditions:
        measured.append(rest)
        return real(*rest, **words)

    measured: list[object] = []
    real = file_source.measured_conditions
    monkeypatch.setattr(file_source, "measured_conditions", counted)
    segment = segment_of(tmp_path, notes)
    tracks = tracks_once(model)
    score_parts(model, {"test": [segment]}, tmp_path, seed=0, tracks=tracks)
    assert latent_difference(model, segment, tracks) == 0.0
    measure_code(model, [segment], tracks)
    soundfile.write(tmp_path / "notes.wav", notes.T, RATE_HZ, subtype="FLOAT")
    heard = {"downmix": "mean", "chunk_samples": 8192}
    assert front_end_difference(model, segment, tmp_path / "notes.wav", **heard) == 0.0
    assert len(measured) == 1


def test_validation_decodes_with_the_batchs_own(model: Autoencoder, notes: np.ndarray) -> None:
    audio = torch.from_numpy(notes)[None]
    conditions = measured_conditions(notes, tracks=TRACKS, rate_hz=RATE_HZ, hop_samples=HOP)
    batch = Batch(audio, audio, torch.tensor([0]), torch.tensor([0]), conditions)
    heard = []

    def loss(estimate: Tensor, target: Tensor) -> dict[str, Tensor]:
        heard.append(estimate[0].numpy())
        return {"waveform": (estimate - target).abs().mean((1, 2))}

    validate(model, [batch], loss, LossMix({"waveform": 1.0}), 0, nullcontext(), watch_code=False)
    assert_shows_the_notes(heard[0])


def test_the_prior_draws_them_with_the_code(
    model: Autoencoder, notes: np.ndarray, tmp_path: Path
) -> None:
    code = encode_whole(model, notes)
    save_latent_statistics(tmp_path / "moments", fit_latent_statistics([code]))
    statistics = load_latent_statistics(tmp_path / "moments")
    assert statistics.tracks == TRACKS
    assert statistics.latent_dim == HOP
    source = PriorSource(statistics, n_samples=400 * HOP, hop_samples=HOP, seed=0)
    drawn = torch.cat([block.conditions.f0_hz for block in source.blocks()], dim=1)
    voiced = torch.cat([block.conditions.confidence for block in source.blocks()], dim=1)
    assert drawn.shape == (1, 400)
    assert 100 < float(drawn.median()) < 1000
    assert 0.0 <= float(voiced.min()) < float(voiced.max()) <= 1.0
    again = latent_of(rows_of(code), code.clip, TRACKS)
    for name in ("f0_hz", "centroid_hz"):
        assert_allclose(again.conditions.tracks[name], code.conditions.tracks[name], rtol=1e-5)


def test_a_code_without_what_the_decoder_needs_is_refused(model: Autoencoder) -> None:
    bare = Latent(torch.zeros(1, HOP, 4), torch.zeros(1, 0))
    with pytest.raises(ValueError, match="needs f0_hz, confidence, loudness_db, centroid_hz"):
        model.decode(bare)
    with pytest.raises(ValueError, match="needs f0_hz"):
        model.encode(torch.zeros(1, 1, 4 * HOP))
    ones = torch.ones(1, 1, 2)
    measured = Columns(("f0_hz",), ones, ones > 0)
    with pytest.raises(ValueError, match="the batch lacks level_k_db"):
        conditions_from(("loudness_db",), measured)
