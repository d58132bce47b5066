"""A model that gets the side wrong must score worse, wherever a training is judged."""

import csv
import math
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from models.presets import transparent
from segments import segment
from signals import noise
from timbrel.analysis.evaluation import means_of, score_parts, summarise, write_tables
from timbrel.analysis.excerpts import nearest_recordings
from timbrel.analysis.gates import better_than_noise, better_than_silence
from timbrel.analysis.generated_sounds import compare
from timbrel.analysis.latent_gates import measure_code
from timbrel.contracts import Batch
from timbrel.data.cache.store import Cache
from timbrel.data.scan.catalog import scan
from timbrel.data.split.parts import Segment
from timbrel.losses.mix import LossMix
from timbrel.losses.reconstruction import SpectralLoss
from timbrel.metrics.embedding import embed
from timbrel.metrics.scores import SCORES
from timbrel.models.autoencoder import Autoencoder
from timbrel.training.validation import validate

FILES = 3


def wide(seed: int) -> np.ndarray:
    """A dying noise whose side is 10 dB below its mid; both are the seed's own."""
    mid, side = (
        noise(0.4, seed=2 * seed + i) * np.linspace(1, 0, 19_200, dtype=np.float32) ** (1 + seed)
        for i in range(2)
    )
    return 0.5 * np.stack([mid + 0.316 * side, mid - 0.316 * side])


class _Side(nn.Module):
    """A decoder's mid, and its side times `gain`, or noise of the side's level."""

    def __init__(self, decoder: nn.Module, gain: float | None) -> None:
        super().__init__()
        self.decoder, self.gain = decoder, gain
        self.hop_samples, self.context_frames = decoder.hop_samples, decoder.context_frames

    def forward(self, *given: object) -> Tensor:
        mid, side = self.decoder(*given).unbind(1)
        if self.gain is None:
            other = torch.randn(side.shape, generator=torch.Generator().manual_seed(0))
            return torch.stack([mid, other * side.std()], 1)
        return torch.stack([mid, self.gain * side], 1)


def perfect(channels: int = 2) -> Autoencoder:
    """A model without loss; its one parameter, which nothing uses, tells the device."""
    model = transparent(channels)
    model.place = nn.Parameter(torch.zeros(1))
    return model


def with_side(gain: float | None) -> Autoencoder:
    model = perfect()
    model.decoder = _Side(model.decoder, gain)
    return model


@pytest.fixture(scope="module")
def segments(tmp_path_factory: pytest.TempPathFactory) -> tuple[Segment, ...]:
    root = tmp_path_factory.mktemp("wide")
    for i in range(FILES):
        soundfile.write(root / f"{i}.wav", wide(i).T, 48_000, subtype="FLOAT")
    clips = Cache().ensure(scan(root), sample_rate_hz=48_000, channels=2, downmix="mean")
    return tuple(Segment(clip, 0, clip.n_samples) for clip in clips)


def scored(model: Autoencoder, segments: tuple[Segment, ...], folder: Path) -> dict[str, float]:
    rows = score_parts(model, {"test": segments}, folder, seed=0)
    return means_of(summarise(rows, seed=0, draws=20), "test")


@pytest.fixture(scope="module")
def right(segments, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """The scores of a model without loss."""
    return scored(perfect(), segments, tmp_path_factory.mktemp("right"))


@pytest.mark.parametrize("gain", [0.0, -1.0, None], ids=["mono", "exchanged", "another"])
def test_a_wrong_side_costs_in_every_file_score_that_can_hear_it(
    segments, right: dict[str, float], tmp_path: Path, gain: float | None
) -> None:
    wrong = scored(with_side(gain), segments, tmp_path / "wrong")
    assert {"mrstft", "log_mel_l1", "si_sdr_db", "loudness_error_lu", "width_error"} < right.keys()
    hearing = ["mrstft", "log_mel_l1", "si_sdr_db"]
    if gain == 0.0:  # an exchanged side, and another of the same level, are as wide and as loud
        hearing += ["loudness_error_lu", "width_error"]
    for name in hearing:
        assert SCORES[name].is_better(right[name], wrong[name]), name
    assert wrong["mrstft"] > right["mrstft"] + 0.2
    assert wrong["log_mel_l1"] > right["log_mel_l1"] + 0.05
    assert wrong["si_sdr_db"] < 11 < 60 < right["si_sdr_db"]
    if gain == 0.0:
        assert wrong["width_error"] == pytest.approx(0.24, abs=0.02)  # 0.316 / 1.316


def test_controls_are_of_both_channels(segments, tmp_path: Path) -> None:
    """Silence has width 0; noise with the file's spectra has the file's width."""
    rows = score_parts(with_side(0.0), {"test": segments}, tmp_path, seed=0)
    summary = summarise(rows, seed=0, draws=20)
    silence, matched = (means_of(summary, "test", system) for system in ("silence", "noise"))
    assert silence["width_error"] == pytest.approx(0.24, abs=0.02)
    assert matched["width_error"] == pytest.approx(0.0, abs=1e-5)
    assert matched["log_mel_l1"] < silence["log_mel_l1"]
    for gate in (better_than_silence(rows, "test"), better_than_noise(rows, "test")):
        assert math.isfinite(gate.value)
        assert math.isfinite(gate.limit)


def test_decode_change_misses_the_side_of_a_mono_decoder(segments) -> None:
    assert measure_code(perfect(), segments).decode_change == pytest.approx(1.0, abs=1e-5)
    assert measure_code(with_side(0.0), segments).decode_change < 0.95


def test_validation_hears_it_too() -> None:
    audio = torch.from_numpy(np.stack([wide(i) for i in range(4)]))
    index = torch.arange(4)
    batch = Batch(audio, audio, index, index)
    loss, mix = SpectralLoss(window_samples=[512]), LossMix({"stft_log": 1.0})
    right, wrong = (
        validate(model, [batch], loss, mix, 0, nullcontext())
        for model in (perfect(), with_side(0.0))
    )
    assert right["decode_change"] == pytest.approx(1.0, abs=1e-5)
    assert wrong["decode_change"] < 0.95
    assert wrong["loss"] > right["loss"] + 0.1


def test_sets_of_sounds_are_compared_with_their_sides_and_copies_without() -> None:
    """Mono copies of stereo recordings: none is covered, and every one counts as a copy."""
    training = [wide(i) for i in range(12)]
    mono = [np.stack([x.mean(0)] * 2) for x in training]
    of_training, of_mono = (
        np.stack([embed(x, 48_000) for x in clips]) for clips in (training, mono)
    )
    same, lost = (compare(of_training, of_mono, x) for x in (of_training, of_mono))
    assert same.support.coverage == 1.0
    assert lost.support.coverage < 0.5
    assert lost.distances.kad.value > same.distances.kad.value + 10
    # The power that the side adds, not the same in every cell, is all that is left.
    known = [segment(f"{i}", x) for i, x in enumerate(training)]
    found = nearest_recordings(mono, known, 48_000, events=True)
    assert found.index.tolist() == [*range(12)]
    assert found.distance.max() < 1.0


def test_mono_has_an_empty_cell_and_no_mean(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(0.3), 48_000, subtype="FLOAT")
    clips = Cache().ensure(scan(tmp_path), sample_rate_hz=48_000, channels=1, downmix="mean")
    parts = {"test": [Segment(clip, 0, clip.n_samples) for clip in clips]}
    rows = score_parts(perfect(1), parts, tmp_path / "audio", seed=0)
    assert all({"mrstft", "loudness_error_lu"} < row.scores.keys() for row in rows)
    assert not any("width_error" in row.scores for row in rows)
    summary = summarise(rows, seed=0, draws=20)
    assert "width_error" not in {score.metric for score in summary}
    write_tables(tmp_path, rows, summary)
    with (tmp_path / "files.csv").open(newline="") as file:
        assert [row["width_error"] for row in csv.DictReader(file)] == [""] * 3


def test_a_silent_file_leaves_the_others_their_width(segments, tmp_path: Path) -> None:
    rows = score_parts(with_side(0.0), {"validation": segments}, tmp_path, seed=0)
    scores = {name: value for name, value in rows[0].scores.items() if name != "width_error"}
    rows.append(replace(rows[0], file="silent.wav", scores=scores))
    summary = summarise(rows, seed=0, draws=20)
    found = {s.metric: s.interval.n for s in summary if s.system == "model"}
    assert (found["width_error"], found["mrstft"]) == (FILES, FILES + 1)
