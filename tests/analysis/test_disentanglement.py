"""The code of a model against attributes: codes that hold a known one, demo clips, few files."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from models.presets import build
from signals import sine
from timbrel.analysis import disentanglement
from timbrel.analysis.disentanglement import (
    DEMO_FACTORS,
    FACTORS,
    disentanglement_of_demo,
    disentanglement_of_recordings,
    mean_frame,
    measured_factors,
    write_disentanglement,
)
from timbrel.attributes.measurement import measure
from timbrel.contracts import Latent, Posterior
from timbrel.data.cache.store import Cache
from timbrel.data.demo.demo_set import demo_sounds, ensure_demo_set
from timbrel.data.scan.catalog import scan
from timbrel.data.split.parts import Segment
from timbrel.errors import UserError
from timbrel.models.autoencoder import Autoencoder

RATE_HZ, HOP = 48_000, 480
FEW = {"draws": 4, "tree_draws": 1}


class Listens(nn.Module):
    """An encoder that tells of every 10 ms the level, and the share of the side; and noise."""

    hop_samples = HOP
    context_frames = 0

    def forward(self, audio: Tensor) -> Tensor:
        power = audio.unflatten(2, (-1, HOP)).square().mean(3)
        level_db = 10 * torch.log10(power.sum(1) + 1e-9)
        width = power[:, -1] / (power.sum(1) + 1e-9)
        noise = torch.sin(1e5 * audio.unflatten(2, (-1, HOP))[:, 0, :, 7])
        return torch.stack([level_db, 10 * width, noise, torch.zeros_like(noise)], 2)


class Codes(nn.Module):
    """Two features are the frame code, the means of the other two the clip code."""

    def forward(self, features: Tensor) -> Posterior:
        frames = features[..., :2].transpose(1, 2)
        return Posterior(Latent(frames, features[..., 2:].mean(1)), None)


class Deaf(nn.Module):
    hop_samples = HOP
    context_frames = 0

    def __init__(self, conditions: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.conditions = conditions
        self.weight = nn.Parameter(torch.zeros(1))


def listening(channels: int = 2, conditions: tuple[str, ...] = ()) -> Autoencoder:
    return Autoencoder(
        sample_rate_hz=RATE_HZ,
        channels=channels,
        latent_dim=2,
        clip_dim=2,
        encoder=Listens(),
        posterior=Codes(),
        decoder=Deaf(conditions),
    )


def recordings(folder: Path, count: int, tmp_path: Path) -> list[Segment]:
    """`count` tones, each 3 dB below the one before, with another pitch; and one twice."""
    folder.mkdir()
    order = np.random.default_rng(0).permutation(count)
    for number, pitch in enumerate(order):
        tone = 10 ** (-3 * number / 20) * sine(200 + 50.0 * pitch, 0.3)
        for name in (f"{number:02d}", "copy") if number == 0 else (f"{number:02d}",):
            soundfile.write(folder / f"{name}.wav", tone, RATE_HZ, subtype="FLOAT")
    clips = Cache(tmp_path / "cache").ensure(
        scan(folder, workers=0), sample_rate_hz=RATE_HZ, channels=1
    )
    return [Segment(clip, 0, clip.n_samples) for clip in clips]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_unit_that_is_the_level_follows_the_measured_loudness(tmp_path: Path) -> None:
    segments = recordings(tmp_path / "tones", 14, tmp_path)
    found = disentanglement_of_recordings(
        listening(channels=1), segments, cache=tmp_path / "cache", **FEW
    )
    assert not found.reason
    assert found.n == 14  # the copy is no second sound
    assert found.units == ("frame 0", "frame 1", "clip 0", "clip 1")
    table = dict(zip(found.factors, found.rank_correlation.T, strict=True))
    assert table["loudness_lufs"][0] == pytest.approx(1.0)
    assert table["log_f0_octaves"][0] < 0.6
    assert dict(zip(found.factors, found.n_of, strict=True))["width"] == 0  # mono has none
    assert np.isnan(table["width"]).all()
    assert found.scores["scc"].value > 0.5
    # In one process or the next, the same numbers, without measuring anything again.
    again = disentanglement_of_recordings(
        listening(channels=1), segments, cache=tmp_path / "cache", **FEW
    )
    assert repr(again.scores) == repr(found.scores)


def test_fewer_than_ten_recordings_are_not_scored_and_told(tmp_path: Path) -> None:
    segments = recordings(tmp_path / "tones", 9, tmp_path)
    found = disentanglement_of_recordings(listening(1), segments, cache=tmp_path / "cache")
    assert found.reason == "9 sounds; disentanglement is scored from 10 on"
    assert not found.scores
    write_disentanglement(tmp_path / "disentanglement.csv", found)
    assert rows(tmp_path / "disentanglement.csv") == []
    assert [row["n"] for row in rows(tmp_path / "disentanglement_factors.csv")] == ["0"] * 8


def test_demo_clips_are_new_ones_and_their_width_is_found(tmp_path: Path) -> None:
    found = disentanglement_of_demo(listening(), clips=24, **FEW)
    assert (found.n, found.factors) == (24, tuple(DEMO_FACTORS))
    # The side's power over that of both is the width by the set's own definition, but for the fade.
    width = found.rank_correlation[1, found.factors.index("stereo_width")]
    assert width > 0.9
    write_disentanglement(tmp_path / "disentanglement.csv", found)
    scores = {row["metric"]: row for row in rows(tmp_path / "disentanglement.csv")}
    assert list(scores) == list(found.scores)
    header = "metric,value,low,high,null_mean,null_p95,ceiling,all_units,n,n_groups"
    assert ",".join(scores["mig"]) == header
    assert float(scores["scc"]["value"]) == pytest.approx(found.scores["scc"].value, rel=1e-5)
    assert (scores["scc"]["n"], scores["scc"]["n_groups"]) == ("24", "24")
    units = rows(tmp_path / "disentanglement_units.csv")
    assert [unit["unit"] for unit in units] == list(found.units)
    assert [unit["active"] for unit in units] == ["yes", "yes", "no", "no"]
    assert float(units[1]["stereo_width"]) == pytest.approx(width, rel=1e-5)
    factors = {row["factor"]: row for row in rows(tmp_path / "disentanglement_factors.csv")}
    assert factors["stereo_width"]["unit"] == "frame 1"
    assert set(demo_sounds(24, seed=1)).isdisjoint(demo_sounds(24, seed=0))


def test_rendered_clips_are_those_of_the_set_on_disk(tmp_path: Path) -> None:
    """But for the 24 bits of the file."""
    model = listening(channels=1)
    folder = ensure_demo_set(files=2, seed=3, sample_rate_hz=RATE_HZ, cache_dir=str(tmp_path))
    clips = {
        settings: Cache(tmp_path / "cache").ensure(
            scan(folder, workers=0),
            sample_rate_hz=RATE_HZ,
            channels=1,
            downmix=settings[0],
            normalise=settings[1],
        )
        for settings in (("mean", "none"), ("loudest", "peak"))
    }
    for sound in demo_sounds(2, seed=3):
        for settings, decoded in clips.items():
            (clip,) = (clip for clip in decoded if clip.name == sound.file)
            here = disentanglement._rendered(sound, model, *settings)
            assert np.abs(here - clip.open()).max() < 1e-5


def test_what_tracks_tell_is_reported_and_tracks_are_not_needed() -> None:
    tracks = ("f0_hz", "loudness_db")
    found = disentanglement_of_demo(listening(1, tracks), clips=12, **FEW)
    assert found.carried == ("log_f0_octaves", "log_attack_time", "log_decay_octaves")
    assert disentanglement_of_demo(listening(1), clips=12, **FEW).carried == ()
    assert {track for track in FACTORS.values() if track} == {
        *("f0_hz", "confidence", "loudness_db", "centroid_hz")
    }


def test_harmonic_codes_are_those_with_their_own_tracks() -> None:
    model = build("harmonic_small", latent_dim=3, clip_dim=1).eval()
    assert model.conditions
    found = disentanglement_of_demo(model, clips=12, **FEW)
    assert found.units == ("frame 0", "frame 1", "frame 2", "clip 0")
    assert "log_f0_octaves" in found.carried


def test_a_code_that_says_nothing_is_no_error() -> None:
    model = listening(1)
    model.posterior = nn.Sequential(nn.Linear(4, 4), Codes())
    nn.init.zeros_(model.posterior[0].weight)
    found = disentanglement_of_demo(model, clips=12, **FEW)
    assert "no unit of the code varies" in found.reason
    assert not found.active.any()


def test_a_diverged_model_and_the_training_seed_are_refused() -> None:
    with pytest.raises(UserError, match="seed=0: data=demo trains"):
        disentanglement_of_demo(listening(), seed=0)
    model = listening(1)
    model.posterior = nn.Sequential(nn.Linear(4, 4), Codes())
    nn.init.constant_(model.posterior[0].weight, math.nan)
    with pytest.raises(UserError, match="its training diverged: use another model"):
        disentanglement_of_demo(model, clips=10)


def test_factors_have_their_units_and_limits() -> None:
    decaying = 10 ** (-60 * np.arange(24_000) / RATE_HZ / 20) * sine(400, 0.5)
    held, fast = sine(400, 0.5), sine(400, 0.5) * 10 ** (-600 * np.arange(24_000) / RATE_HZ / 20)
    sounds = [np.asarray(x, np.float32)[None] for x in (decaying, held, fast)]
    table = measured_factors([*(measure(sound, RATE_HZ) for sound in sounds), None])
    column = dict(zip(FACTORS, table.T, strict=True))
    decay = column["log_decay_octaves"]
    assert decay[0] == pytest.approx(math.log2(60), abs=0.1)
    assert np.isnan(decay[1])
    assert decay[2] == pytest.approx(math.log2(300))
    assert column["log_f0_octaves"][0] == pytest.approx(math.log2(400), abs=0.01)
    assert column["hnr_db"].tolist()[:2] == [30.0, 30.0]
    assert np.isnan(table[3]).all()


def test_only_frames_that_sound_count() -> None:
    frames = torch.tensor([[[1.0, 3.0, 100.0]]])
    assert mean_frame(frames, torch.tensor([[True, True, False]])).item() == 2.0
    tone = np.concatenate([sine(400, 0.2), np.zeros(9600)]).astype(np.float32)[None]
    heard = disentanglement.sounding(measure(tone, RATE_HZ), tone.shape[1], HOP)
    assert heard[:20].all()
    assert not heard[25:].any()


def test_no_factor_that_varies_is_told() -> None:
    codes = [np.arange(4, dtype=np.float32) * i for i in range(12)]
    constant = np.ones((12, 1))
    found = disentanglement._scored("demo", listening(1), codes, constant, {"width": None}, 4, 1)
    assert "no factor varies" in found.reason
    assert found.scores == {}
