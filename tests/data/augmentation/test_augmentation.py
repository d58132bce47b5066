"""Augmentation: exact factors, seeds, and nothing that clips."""

import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from signals import noise, sine
from timbrel.data.augmentation import (
    Augment,
    Chain,
    Change,
    Changed,
    Gain,
    Mask,
    Polarity,
    Varispeed,
)
from timbrel.data.cache.entry import npy_header
from timbrel.data.cache.store import Clip
from timbrel.data.chunks.loaders import train_loader
from timbrel.data.split.parts import Segment
from timbrel.errors import UserError

STEREO = np.stack([sine(440.0, 0.1), noise(0.1)])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_no_transforms_hand_back_the_very_samples():
    changed = Chain({})(STEREO, 48_000, rng())
    assert changed.audio is STEREO
    assert changed.change == Change()


@pytest.mark.parametrize(
    ("gain_db", "factor"), [(0.0, 1.0), (20.0, 10.0), (-20.0, 0.1), (40.0, 100.0)]
)
def test_gain_is_exact(gain_db, factor):
    changed = Gain(min_db=gain_db, max_db=gain_db)(STEREO, 48_000, rng()).audio
    np.testing.assert_allclose(changed, STEREO * factor, rtol=3e-7)
    assert changed.dtype == np.float32


def test_gain_beyond_full_scale_is_not_clipped():
    changed = Gain(min_db=12.0, max_db=12.0)(np.ones((1, 4), np.float32), 48_000, rng())
    changed = changed.audio
    np.testing.assert_allclose(changed, 10**0.6, rtol=1e-6)


def test_gain_is_uniform_in_db_and_one_for_all_channels():
    gain = Gain(min_db=-6.0, max_db=2.0)
    generator = rng()
    ones = np.ones((2, 3), np.float32)
    drawn = [gain(ones, 48_000, generator).audio for _ in range(4000)]
    assert all(np.ptp(audio) == 0 for audio in drawn)
    gains_db = 20 * np.log10([audio[0, 0] for audio in drawn])
    assert -6.0 <= gains_db.min() < -5.9
    assert 1.9 < gains_db.max() <= 2.0
    # A uniform law on [-6, 2]: mean -2, deviation 8/sqrt(12) = 2.309; bounds at 4 sigma.
    assert abs(gains_db.mean() + 2) < 4 * 2.309 / np.sqrt(4000)


def test_polarity_turns_every_channel_or_none_as_often_as_told():
    turned = Polarity(probability=1.0)(STEREO, 48_000, rng()).audio
    np.testing.assert_array_equal(turned, -STEREO)
    chain = Chain({"polarity": Polarity(probability=0.25)})
    drawn = [chain(STEREO, 48_000, rng(seed)).audio for seed in range(2000)]
    assert all(np.array_equal(audio, -STEREO) or audio is STEREO for audio in drawn)
    share = np.mean([audio is not STEREO for audio in drawn])
    assert abs(share - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 2000)


def test_the_argument_stays_as_it_was():
    audio = STEREO.copy()
    audio.setflags(write=False)
    loud = {"gain": Gain(min_db=3, max_db=6), "polarity": Polarity(probability=1.0)}
    Chain(loud)(audio, 48_000, rng())
    Mask(probability=1.0)(audio, 48_000, rng())


def test_the_seed_decides_and_no_transform_moves_the_draws_of_those_before_it():
    gain, polarity = Gain(min_db=-6, max_db=6), Polarity(probability=1.0)
    for seed in range(5):
        both = Chain({"gain": gain, "polarity": polarity})(STEREO, 48_000, rng(seed)).audio
        again = Chain({"gain": gain, "polarity": polarity})(STEREO, 48_000, rng(seed)).audio
        alone = Chain({"gain": gain})(STEREO, 48_000, rng(seed)).audio
        np.testing.assert_array_equal(both, again)
        np.testing.assert_array_equal(both, -alone)
    first, second = (Chain({"gain": gain})(STEREO, 48_000, rng(seed)).audio for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_a_transform_that_changes_the_length_is_named():
    class Cut:
        probability, heavy, max_speed = 1.0, False, 1.0

        def __call__(self, audio, rate_hz, rng):
            return Changed(audio[:, 1:])

    with pytest.raises(ValueError, match="short: Cut made float32"):
        Chain({"short": Cut()})(STEREO, 48_000, rng())


class Heavy:
    """Worth rendering ahead: twice the level."""

    probability, heavy, max_speed = 1.0, True, 1.0

    def __call__(self, audio, rate_hz, rng):
        return Changed(2 * audio, Change(f0_ratio=3.0))


def test_heavy_transforms_are_rendered_ahead_only_where_it_is_asked_for():
    transforms = {"polarity": Polarity(probability=1.0), "heavy": Heavy(), "out": None}
    live = Augment(transforms=transforms)
    assert list(live.live.transforms) == ["heavy", "polarity"]
    assert not live.ahead.transforms
    changed = live.live(STEREO, 48_000, rng())
    np.testing.assert_array_equal(changed.audio, -2 * STEREO)
    assert changed.change == Change(f0_ratio=3.0)
    rendered = Augment(transforms=transforms, expansion=4)
    assert list(rendered.ahead.transforms) == ["heavy"]
    assert list(rendered.live.transforms) == ["polarity"]
    with pytest.raises(UserError, match=r"expansion=4: nothing .* worth rendering"):
        Augment(transforms={"polarity": Polarity()}, expansion=4)


@pytest.mark.parametrize("expansion", [-1, 1001, 10**8])
def test_an_expansion_without_meaning_is_refused(expansion):
    with pytest.raises(
        UserError, match=rf"expansion={expansion}: give 0 \(none\) to 1000 variants"
    ):
        Augment(transforms={"heavy": Heavy()}, expansion=expansion)


def test_a_list_of_transforms_is_refused():
    with pytest.raises(UserError, match="a mapping by name"):
        Augment(transforms=[Polarity()])


@pytest.mark.parametrize("name", ["transforms.gain", "mix", "mask"])
def test_a_plain_value_for_a_part_is_refused_by_name(name):
    parts = {"transforms": {"gain": 5}} if name != "mix" else {"transforms": {}, "mix": 5}
    parts = {"transforms": {}, "mask": "much"} if name == "mask" else parts
    with pytest.raises(UserError, match=rf"augmentation\.{name}=\w+: give its keys"):
        Augment(**parts)


def test_a_band_mask_takes_its_band_and_nothing_else():
    mask = Mask(probability=1.0, time_masks=0, bands=1, max_octaves=1.0)
    sound = noise(1.0)[None]
    before = np.abs(np.fft.rfft(sound * np.hanning(48_000)))[0]
    for seed in range(5):
        masked = mask(sound, 48_000, rng(seed))
        after = np.abs(np.fft.rfft(masked * np.hanning(48_000)))[0]
        drawn = rng(seed)
        octaves = drawn.uniform(0, 1.0)
        low_hz = 50 * 2 ** drawn.uniform(0, np.log2(24_000 / 50) - octaves)
        bins = np.arange(len(before))  # of 1 Hz
        edge = 2 ** min(0.125, octaves / 4)  # within the band
        inside = (bins > low_hz * edge + 5) & (bins < low_hz * 2**octaves / edge - 5)
        outside = (bins < low_hz - 5) | (bins > low_hz * 2**octaves + 5)
        assert np.all(after[inside] < 0.05 * before.mean())
        assert np.abs(after[outside] - before[outside]).max() < 0.05 * before.mean()


def test_a_band_mask_does_not_ring_on():
    mask = Mask(probability=1.0, time_masks=0, bands=1, max_octaves=1.0)
    click = np.zeros((1, 48_000), np.float32)
    click[0, 24_000] = 1.0
    # A band of a few Hz takes long by its nature; these are half an octave wide or more.
    wide = [seed for seed in range(8) if rng(seed).uniform() > 0.5]
    assert len(wide) > 2
    for seed in wide:
        masked = mask(click, 48_000, rng(seed))[0]
        far = np.concatenate([masked[:9_600], masked[-9_600:]])  # 0.3 s away
        assert np.sum(far**2) < 1e-7 * np.sum(masked**2)


def test_a_time_mask_takes_its_stretch_and_nothing_else():
    mask = Mask(probability=1.0, time_masks=1, max_time_s=0.2, bands=0)
    ones = np.ones((2, 48_000), np.float32)
    for seed in range(5):
        masked = mask(ones, 48_000, rng(seed))
        gone = np.flatnonzero(masked[0] == 0)
        assert np.all(np.diff(gone) == 1)
        assert len(gone) <= 0.2 * 48_000
        # Only the fades, 2 ms at each end, lie between all and nothing.
        assert np.count_nonzero((masked[0] > 0) & (masked[0] < 1)) <= 2 * 96
        np.testing.assert_array_equal(masked[0], masked[1])


@pytest.mark.parametrize(
    "build",
    [
        lambda: Gain(min_db=1.0, max_db=0.0),
        lambda: Gain(min_db=float("nan"), max_db=0.0),
        lambda: Polarity(probability=1.5),
    ],
)
def test_impossible_settings_are_refused(build):
    with pytest.raises(UserError):
        build()


@pytest.mark.parametrize("seed", range(4))
def test_varispeed_moves_pitch_by_the_drawn_factor(seed):
    rng = np.random.default_rng(seed)
    speed = 2.0 ** np.random.default_rng(seed).uniform(-0.5, 0.5)
    tone = sine(1000.0, 1.0)[None]
    result = Varispeed(octaves=0.5)(tone, 48_000, rng)
    changed = result.audio
    assert result.change == Change(f0_ratio=speed, time_ratio=1 / speed)
    assert changed.shape == (1, round(48_000 / speed))
    spectrum = np.abs(np.fft.rfft(changed[0] * np.hanning(changed.shape[1])))
    peak_hz = spectrum.argmax() * 48_000 / changed.shape[1]
    assert peak_hz == pytest.approx(1000.0 * speed, abs=2.0)


def test_varispeed_leaves_enough_to_cut():
    chain = Chain({"speed": Varispeed(octaves=0.5), "polarity": Polarity(probability=1.0)})
    assert chain.max_speed == pytest.approx(2**0.5)
    longer = np.zeros((2, int(np.ceil(4096 * chain.max_speed))), np.float32)
    for seed in range(20):
        assert chain(longer, 48_000, rng(seed)).audio.shape[1] >= 4096


def test_varispeed_refuses_a_range_without_meaning():
    with pytest.raises(UserError, match="octaves=0"):
        Varispeed(octaves=0)


def composed(*overrides: str) -> Augment:
    """The augmentation as the command line would have it."""
    from timbrel.stages.composing import compose
    from timbrel.stages.parts import build_augmentation

    return build_augmentation(compose("train", ["data=demo", *overrides]))


# What each group applies; pitch, tempo, room, compression and filters in "strong" alone.
VARISPEED = ["varispeed", "gain", "polarity"]
STANDARD = ["varispeed", "equaliser", "noise", "gain", "polarity"]
HEAVY = ["pitch", "stretch", "room", "compressor"]
GROUPS = {
    "none": [],
    "light": ["gain", "polarity"],
    "varispeed": VARISPEED,
    "standard": STANDARD,
    "counterfactual": VARISPEED,
    "strong": [*HEAVY, "varispeed", "equaliser", "filter", *STANDARD[2:]],
}


FOLDER = Path(__file__).parents[3] / "conf" / "augmentation"
NONE = OmegaConf.load(FOLDER / "none.yaml")


@pytest.mark.parametrize("group", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_a_group_applies_what_it_says(group):
    augment = composed(f"augmentation={group}")
    assert list(augment.live.transforms) == GROUPS[group]
    assert [n for n, t in augment.live.transforms.items() if t.heavy] == (
        HEAVY if group == "strong" else []
    )
    assert (augment.mask is not None) == (group == "strong")
    assert (augment.counterfactual is not None) == (group == "counterfactual")
    assert augment.mix is None
    sound = noise(0.2)[None]
    changed = [augment.live(sound, 48_000, rng(seed)).audio for seed in range(4)]
    assert all(np.isfinite(audio).all() for audio in changed)
    assert all((audio is sound) == (group == "none") for audio in changed)


def test_the_default_group_is_as_it_was():
    found = composed("augmentation=varispeed").live.transforms
    assert {name: vars(transform) for name, transform in found.items()} == {
        "varispeed": {"octaves": 0.5, "max_speed": 2**0.5, "probability": 1.0},
        "gain": {"min_db": -12.0, "max_db": 3.0, "probability": 1.0},
        "polarity": {"probability": 0.5},
    }


@pytest.mark.parametrize("name", NONE.transforms)
def test_any_transform_works_alone(name):
    from timbrel.stages.built import built

    alone = OmegaConf.from_dotlist([f"transforms.{name}.probability=1"])
    augment = built(OmegaConf.merge(NONE, alone), "augmentation")
    assert list(augment.live.transforms) == [name]
    sound = noise(0.2)[None]
    changed = augment.live(sound, 48_000, rng()).audio
    assert np.isfinite(changed).all()
    assert changed.shape != sound.shape or not np.array_equal(changed, sound)


def test_any_transform_is_an_override_away():
    names = list(NONE.transforms)
    switched = [f"augmentation.transforms.{name}.probability=1" for name in names]
    both = ["augmentation.mix.probability=0.5", "augmentation.mask.probability=0.25"]
    augment = composed("augmentation=none", *switched, *both)
    assert sorted(augment.live.transforms) == sorted(names)
    assert augment.mix.probability == 0.5
    assert augment.mask.probability == 0.25
    assert list(composed("augmentation=none", switched[0]).live.transforms) == names[:1]


def test_without_pedalboard_strong_is_refused_before_anything_is_read(monkeypatch):
    from timbrel.stages.composing import compose
    from timbrel.stages.parts import check_sections

    monkeypatch.setitem(sys.modules, "pedalboard", None)
    with pytest.raises(UserError, match=r"^augmentation: Room needs pedalboard: pip install"):
        check_sections(compose("train", ["data=demo", "augmentation=strong"]))
    composed("augmentation=standard")


def test_strong_is_the_same_whatever_the_workers(tmp_path):
    audio = np.stack([sine(440.0, 0.3), noise(0.3)])
    path = tmp_path / "clip.npy"
    path.write_bytes(npy_header(*audio.shape) + audio.T.tobytes())
    clip = Clip(0, "clip.wav", "0", 48_000, audio.shape[1], 2, path)
    augment = composed("augmentation=strong")
    batches = []
    for workers in (0, 2):
        loader = train_loader(
            [Segment(clip, 0, clip.n_samples)],
            seed=3,
            batch_size=2,
            chunk_samples=4096,
            augmentation=augment,
            workers=workers,
        )
        batches.append(list(islice(loader, 3)))
    for one, other in zip(*batches, strict=True):
        assert torch.equal(one.input, other.input)
        assert torch.equal(one.target, other.target)
    assert any(not torch.equal(one.input, one.target) for one in batches[0])  # masks


def test_a_transform_of_ones_own_that_is_not_whole_is_named():
    class Half:
        probability, heavy = 1.0, False

        def __call__(self, audio, rate_hz, rng):
            return Changed(audio)

    with pytest.raises(UserError, match=r"augmentation\.transforms\.own: Half has no max_speed"):
        Augment(transforms={"own": Half()})
