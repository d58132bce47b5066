"""Hits and notes drawn by a flow: what trajectories keep, what is learned, where sounds end."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from generation.test_bank import HOP, WIDTH, bank, clip
from timbrel.analysis.flow_fit import FittedFlow, FlowSettings, fit_flow
from timbrel.contracts import TRACKS
from timbrel.errors import UserError
from timbrel.generation.prior.bank import Bank, BankClip
from timbrel.generation.prior.flow import Flow, FlowPrior, Size, load_flow, save_flow
from timbrel.generation.prior.trajectory import POINTS, attributes_of, fit_space
from timbrel.generation.tracks import rows_of

TINY = FlowSettings(
    size=Size(width=64, blocks=2, dropout=0.0), steps=400, learning_rate=4e-3, look_every_steps=50
)


def low_or_high(count: int) -> Bank:
    """Short hits whose codes rise by 0.5 a frame; twice as many long ones that fall by 0.15."""
    rng = np.random.default_rng(0)
    clips = []
    for i in range(count):
        short = i % 3 == 0
        frames = int(rng.integers(20, 26) if short else rng.integers(70, 90))
        value = float(rng.normal(0.5, 0.03)) * (1.0 if short else -0.3)
        made = clip(f"{i}", frames=frames, value=value, f0_octaves=8.0 + (i % 5))
        clips.append(made)
    return Bank(tuple(clips), TRACKS)


@pytest.fixture(scope="module")
def fitted() -> FittedFlow:
    return fit_flow(low_or_high(48), [], 3, TINY)


@pytest.fixture
def prior(fitted: FittedFlow) -> FlowPrior:
    return FlowPrior(fitted.flow, None, hop_samples=HOP)


def rows(prior: FlowPrior, seed: int, **settings) -> np.ndarray:
    [latent] = prior.draw(seed, **settings).source.blocks()
    return rows_of(latent)[0].numpy()


@pytest.mark.parametrize(("frames", "onset"), [(3, 0), (30, 2), (60, 4), (80, 3)])
def test_a_trajectory_leads_back_to_the_recording(frames: int, onset: int) -> None:
    others = [clip(f"{i}", frames=40 + 9 * i, value=1 + i, onset=i % 3) for i in range(5)]
    one = clip("a", frames=frames, onset=min(onset, frames - 1))
    space = fit_space([one, *others], TRACKS)
    made, clip_code = space.rows(space.trajectory(one), attributes_of(one, TRACKS))
    kept = made[:, : one.end_frame]
    assert kept.shape[1] == one.end_frame or frames < 7  # what begins a sound is six frames
    assert_allclose(kept[WIDTH:], one.rows[WIDTH:, : kept.shape[1]], atol=0.02)
    scale = np.abs(one.rows[:WIDTH]).max()
    assert_allclose(kept[:WIDTH], one.rows[:WIDTH, : kept.shape[1]], atol=0.03 * scale)
    assert_allclose(clip_code, one.clip_code, atol=0.05)


def test_a_slow_attack_is_not_cut() -> None:
    slow = clip("a", frames=60, onset=40)
    space = fit_space([slow, clip("b"), clip("c", frames=90)], TRACKS)
    made, _ = space.rows(space.trajectory(slow), attributes_of(slow, TRACKS))
    assert made.shape[1] == 60


def test_what_is_silent_stays_silent() -> None:
    one = clip("a", frames=50)
    one.rows[WIDTH + 2, 40:] = -200.0
    space = fit_space([one, clip("b")], TRACKS)
    made, _ = space.rows(space.trajectory(one), attributes_of(one, TRACKS))
    assert (made[WIDTH + 2, 41:] == -200.0).all()
    assert_allclose(made[WIDTH + 2, :39], one.rows[WIDTH + 2, :39], atol=0.01)


def test_noise_is_as_strong_and_as_smooth_as_the_trajectories() -> None:
    clips = low_or_high(48).clips
    space = fit_space(clips, TRACKS)
    x = np.stack([space.trajectory(c) for c in clips])
    noise = space.noise(np.random.default_rng(0), 4000)
    assert_allclose(noise.var((0, 2)), np.square(x).mean((0, 2)), atol=0.06)
    of_steps = [np.square(np.diff(y, axis=2)).mean((0, 2)) for y in (x, noise)]
    assert_allclose(of_steps[1], of_steps[0], rtol=0.15, atol=1e-4)


def test_the_held_out_loss_falls(fitted: FittedFlow) -> None:
    losses = [look.loss for look in fitted.looks]
    assert min(losses) < 0.5 * losses[0]
    best = next(look for look in fitted.looks if look.step == fitted.step)
    assert best.loss == min(losses)


def test_two_kinds_of_hits_are_drawn_as_often_and_as_they_are(prior: FlowPrior) -> None:
    drawn = [rows(prior, seed) for seed in range(60)]
    lengths = np.array([made.shape[1] for made in drawn])
    slopes = np.array([(made[0, -1] - made[0, 0]) / made.shape[1] for made in drawn])
    short = lengths < 45
    assert short.mean() == pytest.approx(1 / 3, abs=0.12)
    assert 17 <= np.median(lengths[short]) <= 28
    assert 65 <= np.median(lengths[~short]) <= 95
    assert np.median(slopes[short]) == pytest.approx(0.5, rel=0.2)
    assert np.median(slopes[~short]) == pytest.approx(-0.15, rel=0.1)
    wrong = (slopes > 0) != short
    assert wrong.mean() <= 0.05


def test_a_pitch_is_that_of_a_recording(prior: FlowPrior) -> None:
    found = np.log2([np.median(2 ** rows(prior, seed)[WIDTH]) for seed in range(12)])
    assert np.abs(found - found.round()).max() < 25 / 1200


def test_a_seed_is_one_sound_that_ends_and_other_choices_are_others(prior: FlowPrior) -> None:
    drawn = prior.draw(4)
    assert drawn.ends
    assert not drawn.cut
    assert drawn.made_of == ()
    assert_array_equal(rows(prior, 4), rows(prior, 4))
    assert not np.array_equal(rows(prior, 4)[:, :10], rows(prior, 4, redraw=1)[:, :10])
    long, short = rows(prior, 4, length=2.0), rows(prior, 4)
    assert 1.4 < long.shape[1] / short.shape[1] <= 2.0
    assert_allclose(long[:, :7], short[:, :7], atol=1e-5)
    cut = prior.draw(4, n_samples=3 * HOP)
    assert cut.cut
    assert cut.source.n_samples == 3 * HOP
    assert_array_equal(rows(prior, 4, temperature=0.0), rows(prior, 4, temperature=0.0, redraw=2))


def test_what_is_filled_fits_and_all_else_stays(prior: FlowPrior) -> None:
    one = clip("x", frames=80, value=-0.15)
    [latent] = prior.fill(one, 30, 50, seed=1).source.blocks()
    made = rows_of(latent)[0].numpy()
    outside = np.r_[0:30, 50:80]
    assert made.shape == one.rows.shape
    assert_allclose(made[:, outside], one.rows[:, outside], rtol=1e-5)
    assert np.abs(made[:WIDTH, 30:50] - one.rows[:WIDTH, 30:50]).max() > 0
    # It lies on the line that its surroundings are on, within a fifth of how far that falls.
    fall = np.ptp(one.rows[0])
    assert np.abs(made[0, 30:50] - one.rows[0, 30:50]).max() < 0.2 * fall
    for start, stop in ((90, 95), (50, 50), (-1, 5)):
        with pytest.raises(ValueError, match=f"frames {start} to {stop} of 80"):
            prior.fill(one, start, stop, seed=1)


def test_what_is_filled_behind_the_end_goes_on_to_where_it_is_to_end(prior: FlowPrior) -> None:
    one = clip("x", frames=60, value=-0.15)
    [latent] = prior.fill(one, 50, 85, seed=1).source.blocks()
    made = rows_of(latent)[0].numpy()
    assert made.shape[1] == 85
    assert_allclose(made[:, :50], one.rows[:, :50], rtol=1e-5)
    # The code of long hits falls by 0.15 a frame, and goes on doing so.
    expected = one.rows[0, 0] - 0.15 * np.arange(50, 85)
    assert np.abs(made[0, 50:] - expected).max() < 0.25 * 0.15 * 85


def test_the_longest_recording_is_known(prior: FlowPrior) -> None:
    assert prior.longest_frames == pytest.approx(89, abs=2)


def brief(clips: tuple[BankClip, ...], tracks: tuple[str, ...] = TRACKS, seed: int = 0) -> Flow:
    settings = replace(TINY, steps=4, look_every_steps=2)
    return fit_flow(Bank(clips, tracks), [], seed, settings).flow


def test_the_same_seed_gives_the_same_weights() -> None:
    clips = low_or_high(6).clips
    one, again, other = (brief(clips, seed=seed).network.state_dict() for seed in (0, 0, 1))
    for name, weights in one.items():
        assert_array_equal(weights.numpy(), again[name].numpy())
    assert any((weights != other[name]).any() for name, weights in one.items())


def test_models_without_tracks_have_flows_too() -> None:
    clips = [replace(c, rows=c.rows[:WIDTH]) for c in low_or_high(8).clips]
    flow = brief(tuple(clips), ())
    [latent] = FlowPrior(flow, None, hop_samples=HOP).draw(1).source.blocks()
    assert latent.frames.shape[1] == WIDTH


def test_models_whose_codes_are_of_whole_clips_alone_have_flows_too() -> None:
    clips = [replace(c, rows=c.rows[:0]) for c in low_or_high(8).clips]
    flow = brief(tuple(clips), ())
    drawn = FlowPrior(flow, None, hop_samples=HOP).draw(1)
    [latent] = drawn.source.blocks()
    assert latent.frames.shape[1] == 0
    assert latent.clip.shape == (1, 2)
    assert drawn.source.n_samples > 0


def test_textures_and_too_few_recordings_are_refused_with_the_way_out() -> None:
    textures = [replace(c, event=False) for c in bank(9).clips]
    for clips, count in ((bank(3).clips, 3), (tuple(textures), 0)):
        with pytest.raises(ValueError, match=f"{count} hits and notes .* take prior=auto"):
            fit_flow(Bank(clips, TRACKS), [], 0, TINY)


def test_textures_of_a_mixed_set_are_left_out() -> None:
    clips = low_or_high(6).clips
    texture = replace(clip("t", frames=400, value=9.0), event=False)
    one = fit_flow(Bank((*clips, texture), TRACKS), [], 0, replace(TINY, steps=2))
    assert one.textures == 1
    same = fit_flow(Bank(clips, TRACKS), [], 0, replace(TINY, steps=2))
    assert_array_equal(one.flow.space.mean, same.flow.space.mean)


def test_copies_end_a_fit() -> None:
    few = Bank(tuple(replace(c, rows=c.rows + 0.0) for c in low_or_high(5).clips), TRACKS)
    far = [clip(f"far{i}", frames=40, value=30.0 + i) for i in range(3)]
    fitted = fit_flow(few, far, 0, TINY)
    assert fitted.ended_by == "copies"
    assert fitted.looks[-1].copies > TINY.most_copies


def test_a_flow_is_read_as_it_was_written(tmp_path: Path, fitted: FittedFlow) -> None:
    save_flow(tmp_path, fitted.flow)
    read = load_flow(tmp_path)
    assert read.space.tracks == TRACKS
    one, other = (FlowPrior(flow, None, hop_samples=HOP) for flow in (fitted.flow, read))
    for seed in range(3):
        assert rows(one, seed).tobytes() == rows(other, seed).tobytes()


@pytest.mark.parametrize("name", ["flow.json", "flow.safetensors"])
@pytest.mark.parametrize("content", [None, "{", "{}"])
def test_a_damaged_flow_is_told_with_the_way_out(
    tmp_path: Path, fitted: FittedFlow, name: str, content: str | None
) -> None:
    save_flow(tmp_path, fitted.flow)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=r"cannot be read: .*timbrel prior run=RUN"):
        load_flow(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", {"width": 48, "blocks": 2, "dropout": 0.0}),
        ("tracks", ["f0_hz"]),
        ("attributes", ["f0_octaves"]),
    ],
)
def test_a_flow_of_other_shapes_is_told(
    tmp_path: Path, fitted: FittedFlow, key: str, value: object
) -> None:
    save_flow(tmp_path, fitted.flow)
    record = json.loads((tmp_path / "flow.json").read_text())
    (tmp_path / "flow.json").write_text(json.dumps(record | {key: value}))
    with pytest.raises(UserError, match=r"cannot be read: .*timbrel prior run=RUN"):
        load_flow(tmp_path)


def test_a_trajectory_has_a_whole_number_of_patches() -> None:
    from timbrel.generation.prior.velocity import PATCH_POINTS

    assert POINTS % PATCH_POINTS == 0
