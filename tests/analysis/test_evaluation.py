"""Scores and rates of a model whose answers are known, and the tables they end up in."""

import csv
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bundles import small_model
from signals import noise, sine
from timbrel.analysis.evaluation import (
    FileScore,
    compared_part,
    means_of,
    reconstruct,
    score_parts,
    summarise,
    write_tables,
)
from timbrel.analysis.parity import front_end_difference, latent_difference
from timbrel.attributes.pitch import PitchTrack
from timbrel.data.cache.store import Cache
from timbrel.data.scan.catalog import scan
from timbrel.data.split.parts import Segment
from timbrel.errors import UserError
from timbrel.losses.latent import rate_nats
from timbrel.metrics.scores import SCORES


@pytest.fixture(scope="module")
def model():
    return small_model()[0]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recordings")


@pytest.fixture(scope="module")
def segments(root: Path) -> tuple[Segment, ...]:
    """Three recordings: a 50 ms hit, a tone at 44.1 kHz, two seconds of noise; in `root`."""
    import soundfile

    soundfile.write(root / "hit.wav", noise(0.05), 48_000)
    soundfile.write(root / "noise.wav", noise(2.0, seed=1), 48_000)
    soundfile.write(root / "tone.wav", sine(440.0, 0.7, rate_hz=44_100), 44_100)
    clips = Cache().ensure(scan(root), sample_rate_hz=48_000, channels=1, downmix="mean")
    return tuple(Segment(clip, 0, clip.n_samples) for clip in clips)


def test_a_file_is_reconstructed_as_the_model_decodes_it_whole(model) -> None:
    audio = noise(3.0)[None] * np.float32(0.2)
    given = reconstruct(model, audio)
    with torch.inference_mode():
        posterior = model.encode(torch.from_numpy(audio)[None])
        whole = model.decode(posterior.mean)[0, :, : audio.shape[1]].numpy()
    np.testing.assert_allclose(given.audio, whole, atol=1e-4)
    assert given.nats == pytest.approx(float(rate_nats(posterior)), rel=1e-4)


def test_the_rate_of_a_long_file_counts_every_frame_once(model) -> None:
    """1,024 frames are a block: of 13 s there are two, whose context overlaps."""
    audio = (0.2 * noise(13.0))[None].astype(np.float32)
    with torch.inference_mode():
        posterior = model.encode(torch.from_numpy(audio)[None])
    assert posterior.mean.frames.shape[2] > 1024
    assert reconstruct(model, audio).nats == pytest.approx(float(rate_nats(posterior)), rel=1e-4)


def test_a_clip_code_has_a_rate_too() -> None:
    model, _ = small_model(clip_dim=3)
    audio = noise(0.3)[None]
    with torch.inference_mode():
        posterior = model.encode(torch.from_numpy(audio)[None])
    assert reconstruct(model, audio).nats == pytest.approx(float(rate_nats(posterior)), rel=1e-4)


def test_parts_are_scored_and_one_is_compared(model, segments, tmp_path: Path) -> None:
    told = []
    rows = score_parts(
        model,
        {"train": segments[:1], "validation": segments[1:2], "test": segments[2:]},
        tmp_path,
        seed=0,
        progress=lambda *words: told.append(words),
    )
    assert [(r.part, r.system) for r in rows] == [
        ("train", "model"),
        ("validation", "model"),
        ("test", "model"),
        ("test", "silence"),
        ("test", "noise"),
    ]
    assert told == [(1, 3, "train"), (2, 3, "validation"), (3, 3, "test")]
    assert [p.relative_to(tmp_path).parent.as_posix() for p in sorted(tmp_path.rglob("*.wav"))] == [
        "test/reconstruction",
        "test/reference",
    ]
    assert rows[0].seconds == pytest.approx(0.05)
    assert rows[0].nats_per_second > 0
    assert math.isnan(rows[3].nats_per_second)
    assert all(math.isfinite(value) for row in rows for value in row.scores.values())


def test_what_is_no_event_has_no_attack_and_decay_to_keep(model, segments, tmp_path: Path) -> None:
    hit, texture, tone = segments  # the noise does not end within its two seconds
    piece = replace(tone, stop_sample=tone.stop_sample // 2)
    rows = score_parts(model, {"train": [hit, texture, tone, piece]}, tmp_path, seed=0)
    of_events = {"attack_error_decades", "decay_error_octaves"}
    told = [{*row.scores, *row.held} & of_events for row in rows if row.system == "model"]
    assert [bool(found) for found in told] == [True, False, True, False]


def test_a_second_tracker_judges_what_has_a_pitch(model, segments, tmp_path: Path) -> None:
    def deaf(audio: np.ndarray, rate_hz: int) -> PitchTrack:
        return PitchTrack(np.full(3, rate_hz / 100.0), np.ones(3))

    rows = score_parts(model, {"test": segments}, tmp_path, seed=0, second_pitch=deaf)
    by_file = {(row.file, row.system): row.scores for row in rows}
    assert by_file["tone.wav", "model"]["second_pitch_accuracy"] == 1
    assert by_file["tone.wav", "silence"]["second_pitch_error_cents"] == 0
    assert "second_pitch_accuracy" not in by_file["noise.wav", "model"]
    assert "pitch_accuracy" not in by_file["noise.wav", "model"]
    assert by_file["tone.wav", "silence"]["pitch_accuracy"] == 0


def test_noise_is_the_files_own_whatever_else_is_scored(model, segments, tmp_path: Path) -> None:
    alone = score_parts(model, {"test": segments[1:2]}, tmp_path / "a", seed=5)
    among = score_parts(model, {"test": segments}, tmp_path / "b", seed=5)
    other = score_parts(model, {"test": segments[1:2]}, tmp_path / "c", seed=6)
    assert (alone[2].system, among[5].file) == ("noise", alone[2].file)
    assert alone[2].scores == among[5].scores
    assert alone[2].scores != other[2].scores
    assert other[0] == alone[0]


def test_validation_is_compared_where_nothing_is_tested() -> None:
    assert compared_part({"train": [1], "validation": [1], "test": [1]}) == "test"
    assert compared_part({"train": [1], "validation": [1], "test": []}) == "validation"
    assert compared_part({"train": [1], "validation": [], "test": []}) is None


def test_a_diverged_model_is_told_with_the_file(segments, tmp_path: Path) -> None:
    model, _ = small_model()
    model.decoder.magnitude.bias += float("nan")
    with pytest.raises(UserError, match=r"hit\.wav.*not finite"):
        score_parts(model, {"test": segments[:1]}, tmp_path, seed=0)


def row(part: str, value: float, system: str = "model", nats: float = 10.0) -> FileScore:
    return FileScore(part, f"{value}.wav", system, 2.0, dict.fromkeys(SCORES, value), nats)


def test_names_that_are_no_text_are_scored_and_written(model, segments, tmp_path: Path) -> None:
    odd = tuple(
        replace(part, clip=replace(part.clip, name=name))
        for part, name in zip(
            segments[:2], ("caf\udce9.wav", "\U0001f941" * 62 + ".wav"), strict=True
        )
    )
    rows = score_parts(model, {"test": odd}, tmp_path, seed=0)
    assert {row.file for row in rows} == {part.clip.name for part in odd}
    written = sorted(path.name for path in (tmp_path / "test" / "reconstruction").iterdir())
    assert written[0] == "000_caf\\udce9.wav"
    assert re.fullmatch(rf"001_{chr(0x1F941)}{{47}}-[0-9a-f]{{8}}\.wav", written[1])


def test_means_and_intervals_by_part_and_system() -> None:
    rows = [row("test", v) for v in (1.0, 2.0, 3.0)] + [row("train", 5.0)]
    rows += [row("test", v + 1, "noise", math.nan) for v in (1.0, 2.0, 3.0)]
    summary = summarise(rows, seed=0, draws=200)
    assert means_of(summary, "test") == {**dict.fromkeys(SCORES, 2.0), "nats_per_second": 10.0}
    assert means_of(summary, "test", "noise") == dict.fromkeys(SCORES, 3.0)
    assert means_of(summary, "validation") == {}
    by_system = {s.system: s.interval for s in summary if (s.part, s.metric) == ("test", "mrstft")}
    # The same files are drawn for both: their intervals differ by what their scores do.
    assert by_system["noise"].low - by_system["model"].low == pytest.approx(1.0)
    (alone,) = [s.interval for s in summary if (s.part, s.metric) == ("train", "mrstft")]
    assert math.isnan(alone.low)


def test_tables_read_back_as_they_were(tmp_path: Path) -> None:
    rows = [row("test", 1.23456789), replace(row("test", 2.0), file="caf\udce9, 1\n.wav")]
    rows.append(row("test", 4.0, "silence", math.nan))
    write_tables(tmp_path, rows, summarise(rows, seed=0, draws=100))
    with (tmp_path / "files.csv").open(newline="", errors="surrogateescape") as file:
        read = list(csv.DictReader(file))
    assert [r["file"] for r in read] == [r.file for r in rows]
    assert read[0]["mrstft"] == "1.234568"
    assert read[2]["nats_per_second"] == ""
    assert (tmp_path / "summary.csv").read_text().splitlines()[0] == (
        "part,system,metric,mean,low,high,files"
    )


@pytest.mark.parametrize("chunk_samples", [2048, 65_536])
def test_training_and_generation_hear_the_same(
    model, segments, root: Path, chunk_samples: int
) -> None:
    for segment in segments:
        middle = replace(segment, start_sample=100, stop_sample=segment.n_samples - 200)
        for heard in (segment, middle):
            assert (
                front_end_difference(
                    model,
                    heard,
                    root / heard.clip.name,
                    downmix="mean",
                    chunk_samples=chunk_samples,
                )
                <= 1e-6
            )


def test_another_file_is_heard_as_another(model, segments, tmp_path: Path) -> None:
    import soundfile

    hit = segments[0]
    louder = hit.samples()[0] * np.float32(1.5)
    soundfile.write(tmp_path / "hit.wav", louder, 48_000, subtype="FLOAT")
    settings = {"downmix": "mean", "chunk_samples": 4096}
    difference = front_end_difference(model, hit, tmp_path / hit.clip.name, **settings)
    assert difference == pytest.approx(np.abs(louder).max() / 3, rel=1e-3)
    soundfile.write(tmp_path / "hit.wav", louder[:-1], 48_000, subtype="FLOAT")
    assert front_end_difference(model, hit, tmp_path / hit.clip.name, **settings) == math.inf


def test_a_stream_has_the_code_of_the_whole_unless_its_context_is_too_short(
    model, segments
) -> None:
    noisy = next(s for s in segments if s.clip.name == "noise.wav")
    assert latent_difference(model, noisy) < 1e-4
    short, _ = small_model()
    short.encoder_context_frames = 0
    assert latent_difference(short, noisy) > 1e-2
