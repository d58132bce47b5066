"""Transforms of audiomentations and pedalboard by name: all of them, and what is refused."""

import contextlib
import random
import subprocess
import sys
from itertools import islice

import numpy as np
import pytest
import soundfile
import torch
from omegaconf import OmegaConf

from signals import noise, sine
from timbrel.data.ahead.variants import load_variant, render, rendering
from timbrel.data.augmentation import Audiomentations, Chain, Gain, Pedalboard
from timbrel.data.augmentation.audiomentations_transform import transform_names
from timbrel.data.augmentation.change import Change
from timbrel.data.augmentation.libraries import global_randomness
from timbrel.data.augmentation.pedalboard_effect import effect_names
from timbrel.data.cache.entry import npy_header
from timbrel.data.cache.store import Clip
from timbrel.data.chunks.loaders import train_loader
from timbrel.data.split.parts import Segment
from timbrel.errors import UserError

RATE_HZ = 48_000
NEED_FILES = {"AddBackgroundNoise", "AddShortNoises", "ApplyImpulseResponse"}
NEED_PACKAGES = {
    "Limiter": "numpy_audio_limiter",
    "LoudnessNormalization": "loudness",
    "Mp3Compression": "fast_mp3_augment",
    "RoomSimulator": "pyroomacoustics",
}
CHANGE_THE_LENGTH = {"RepeatPart", "Resample", "Trim"}
NEED_ARGUMENTS = {"AdjustDuration"}
OTHERS = NEED_FILES | NEED_PACKAGES.keys() | CHANGE_THE_LENGTH | NEED_ARGUMENTS
STEREO = np.stack([sine(440.0, 0.25), noise(0.25)])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def global_states() -> tuple[object, ...]:
    state = np.random.get_state()  # noqa: NPY002 - the global state is what is watched
    return random.getstate(), state[1].tobytes(), *state[2:]


def stands_every_sound(transform: Audiomentations | Pedalboard) -> None:
    """It keeps the shape, is finite, and follows from its generator alone."""
    for audio in (STEREO, STEREO[:1], np.zeros_like(STEREO)):
        before, states = audio.copy(), global_states()
        changed = transform(audio, RATE_HZ, rng(1))
        assert changed.audio.shape == audio.shape
        assert changed.audio.dtype == np.float32
        assert changed.audio.flags.c_contiguous
        assert np.isfinite(changed.audio).all()
        assert global_states() == states
        np.testing.assert_array_equal(audio, before)
        random.seed(5)
        np.random.seed(5)  # noqa: NPY002
        transform(STEREO, 44_100, rng(2))  # leaves nothing behind for the next
        again = transform(audio, RATE_HZ, rng(1))
        np.testing.assert_array_equal(changed.audio, again.audio)
        assert not np.shares_memory(changed.audio, audio)


@pytest.mark.parametrize("name", sorted(set(transform_names()) - OTHERS))
def test_every_transform_of_audiomentations(name):
    stands_every_sound(Audiomentations(name=name))


def test_what_needs_more_than_its_name():
    assert set(transform_names()) >= OTHERS  # a name that is gone is taken off the lists
    for name in sorted(NEED_FILES):
        with pytest.raises(UserError, match=rf"^arguments\.\w+: not set, and {name} needs it$"):
            Audiomentations(name=name)
    for name in sorted(CHANGE_THE_LENGTH):
        with pytest.raises(UserError, match=rf"^Audiomentations {name} made \d+ samples of \d+: "):
            Audiomentations(name=name)
    with pytest.raises(UserError, match=r"^Audiomentations AdjustDuration: it needs arguments$"):
        Audiomentations(name="AdjustDuration")
    stands_every_sound(Audiomentations(name="RepeatPart", arguments={"mode": "replace"}))


@pytest.mark.parametrize("name", NEED_PACKAGES)
def test_a_package_that_is_missing_is_named_and_nothing_else_printed(name, capfd, monkeypatch):
    package = NEED_PACKAGES[name]
    monkeypatch.setitem(sys.modules, package, None)
    words = f"^Audiomentations {name} needs {package}, which is not installed: pip install"
    with pytest.raises(UserError, match=words):
        Audiomentations(name=name)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["AddBackgroundNoise", "AddShortNoises", "ApplyImpulseResponse"])
def test_transforms_with_files_of_their_own_keep_stereo(name, tmp_path):
    for k in range(3):
        soundfile.write(tmp_path / f"{k}.wav", noise(0.5, seed=k), RATE_HZ)
    key = "ir_path" if name == "ApplyImpulseResponse" else "sounds_path"
    transform = Audiomentations(name=name, arguments={key: str(tmp_path)})
    assert not transform.heavy  # its files may change, and the name of a variant would not
    stands_every_sound(transform)


@pytest.mark.parametrize("name", sorted(set(effect_names()) - {"Convolution"}))
def test_every_effect_of_pedalboard(name):
    stands_every_sound(Pedalboard(name=name))


def test_a_convolution_reads_its_file(tmp_path):
    soundfile.write(tmp_path / "room.wav", noise(0.1), RATE_HZ)
    given = {"impulse_response_filename": str(tmp_path / "room.wav"), "mix": [0.1, 0.5]}
    stands_every_sound(Pedalboard(name="Convolution", arguments=given))


def test_a_number_of_pedalboard_may_be_a_range():
    drawn = Pedalboard(name="Gain", arguments={"gain_db": [-12, -6]}, keeps_f0=True)
    audio = np.ones((1, 100), np.float32) * np.float32(0.5)
    gains = [20 * np.log10(2 * drawn(audio, RATE_HZ, rng(k)).audio[0, 50]) for k in range(50)]
    assert -12 <= min(gains) < -11
    assert -7 < max(gains) <= -6


A, P = Audiomentations, Pedalboard


@pytest.mark.parametrize(
    ("kind", "name", "arguments", "words"),
    [
        (A, "TanhDistorsion", {}, "no transform 'TanhDistorsion'; did you mean 'TanhDistortion'"),
        (A, "bitcrush", {}, "no transform 'bitcrush'; did you mean 'BitCrush'"),
        (A, "Compose", {}, "no transform 'Compose'; there are AddBackgroundNoise, "),
        (A, "Lambda", {}, "no transform 'Lambda'"),
        (A, "Gain", {"min_gain": 1}, "Gain takes no 'min_gain'; did you mean 'min_gain_db'"),
        (A, "BitCrush", {"min_bit_depth": "a"}, "min_bit_depth=a: expected a whole number"),
        (A, "BitCrush", {"min_bit_depth": 12, "max_bit_depth": 8}, "BitCrush: min_bit_depth must"),
        (A, "TanhDistortion", {"min_distortion": 2}, "the library refuses min_distortion=2"),
        (A, "Gain", {"p": 0.5}, "give probability beside the name, not p"),
        (A, "AddShortNoises", {"sounds_path": "/nowhere"}, "refuses sounds_path=/nowhere"),
        (A, "Gain", {"min_gain_db": print}, "plain values"),
        (P, "Reverbb", {}, "no transform 'Reverbb'; did you mean 'Reverb'"),
        (P, "VST3Plugin", {}, "no transform 'VST3Plugin'; there are Bitcrush, "),
        (P, "Reverb", {"room_sz": 1}, "Reverb takes no 'room_sz'; did you mean 'room_size'"),
        (P, "Reverb", {"room_size": "a"}, "room_size=a: give a number, or a range"),
        (P, "Reverb", {"room_size": True}, "room_size=True: give a number, or a range"),
        (P, "Reverb", {"room_size": [0.4, 0.3]}, "give a number, or a range"),
        (P, "Reverb", {"room_size": [0.1, 3]}, "between 0.0 and 1.0"),
        (P, "Compressor", {"ratio": 0.1}, "ratio must be a value >= 1.0"),
        (P, "Convolution", {}, "Convolution needs impulse_response_filename"),
        (P, "Convolution", {"impulse_response_filename": "/no.wav"}, "Unable to load .*/no.wav"),
        (P, "LadderFilter", {"mode": "HPF13"}, "mode=HPF13: give one of LPF12, HPF12, "),
        (P, "LadderFilter", {"mode": ["HPF12"]}, "give one of LPF12, HPF12, "),
    ],
)
def test_what_a_library_refuses_is_told_when_composed(kind, name, arguments, words):
    with pytest.raises(UserError, match=words) as raised:
        kind(name=name, arguments=arguments)
    assert "\n" not in str(raised.value)
    assert kind(name=name, probability=0.0).probability == 0  # off


def test_a_sound_that_no_seed_decides_is_refused():
    # Beyond twice the length the library's stretcher draws phases by a seed of its own.
    slow = {"min_rate": 0.25, "max_rate": 0.3}
    with pytest.raises(UserError, match="TimeStretch makes another sound each time"):
        Audiomentations(name="TimeStretch", arguments=slow)


def test_a_named_choice_of_pedalboard():
    high_pass = Pedalboard(name="LadderFilter", arguments={"mode": "HPF12", "cutoff_hz": 5000})
    low, high = sine(200.0, 0.25)[None], sine(15_000.0, 0.25)[None]
    kept = [np.std(high_pass(x, RATE_HZ, rng()).audio) / np.std(x) for x in (low, high)]
    assert kept[0] < 0.05 < 0.7 < kept[1]


@pytest.mark.parametrize("probability", [-0.1, 1.1])
@pytest.mark.parametrize("kind", [A, P])
def test_a_probability_is_one(kind, probability):
    with pytest.raises(UserError, match=f"Gain: probability={probability}"):
        kind(name="Gain", probability=probability)


def test_a_stage_refuses_it_before_recordings_are_read():
    from timbrel.stages.composing import compose
    from timbrel.stages.parts import check_sections

    part = "+augmentation.transforms.mine"
    adapter = f"{part}._target_=timbrel.data.augmentation.Audiomentations"
    wrong = [f"{part}.name=TanhDistortion", f"{part}.arguments.min_distorsion=0.1"]
    config = compose("train", ["data.root=/nowhere", adapter, *wrong])
    with pytest.raises(UserError, match=r"^augmentation: arguments\.min_distorsion: .*distortion'"):
        check_sections(config)


def test_without_pedalboard_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pedalboard", None)
    with pytest.raises(UserError, match=r"^Pedalboard Reverb needs pedalboard: pip install"):
        Pedalboard(name="Reverb")
    assert Pedalboard(name="Reverb", probability=0.0).probability == 0


def test_the_global_state_comes_back_after_an_error():
    adjust = Audiomentations(name="AdjustDuration", arguments={"duration_samples": 60_013})
    states = global_states()
    with pytest.raises(UserError, match="made 60013 samples of 12000"):
        adjust(STEREO, RATE_HZ, rng())
    with contextlib.suppress(RuntimeError), global_randomness(3):
        random.random()
        raise RuntimeError
    assert global_states() == states


def test_f0_is_unknown_unless_it_is_said_to_stay():
    for kind in (A, P):
        kept, unknown = kind(name="Gain", keeps_f0=True), kind(name="Gain")
        assert kept(STEREO, RATE_HZ, rng()).change == Change()
        assert np.isnan(unknown(STEREO, RATE_HZ, rng()).change.f0_ratio)
        chain = Chain({"mine": unknown, "gain": Gain(min_db=0, max_db=0)})
        assert np.isnan(chain(STEREO, RATE_HZ, rng()).change.f0_ratio)


def clip_of(folder) -> Segment:
    path = folder / "clip.npy"
    path.write_bytes(npy_header(*STEREO.shape) + STEREO.T.astype("<f4").tobytes())
    frames = STEREO.shape[1]
    return Segment(Clip(0, "clip.wav", "0", RATE_HZ, frames, 2, path), 0, frames)


def test_slow_ones_are_rendered_ahead_and_the_place_follows_the_arguments(tmp_path):
    def job(gain_db: float):
        own = {"max_gain_db": gain_db}
        chain = Chain({"eq": Audiomentations(name="SevenBandParametricEQ", arguments=own)})
        assert chain.transforms["eq"].heavy
        return rendering(clip_of(tmp_path), chain, seed=0, number=0, folder=tmp_path)

    variant = render(job(6.0))
    assert np.isnan(variant.change.f0_ratio)
    assert variant.segment.samples().shape == STEREO.shape
    assert load_variant(job(6.0)) is not None
    assert load_variant(job(7.0)) is None


def test_the_experiment_is_the_same_whatever_the_workers(tmp_path):
    from timbrel.stages.composing import compose
    from timbrel.stages.parts import build_augmentation

    config = compose("train", ["data=demo", "experiment=lofi"])
    section = config.augmentation.transforms
    ours = [name for name in section if "Audiomentations" in section[name]._target_]
    assert len(ours) == 3
    for name in ours:
        OmegaConf.update(config, f"augmentation.transforms.{name}.probability", 1.0)
    augment = build_augmentation(config)
    batches = []
    for workers in (0, 2):
        loader = train_loader(
            [clip_of(tmp_path)],
            seed=3,
            batch_size=2,
            chunk_samples=4096,
            augmentation=augment,
            workers=workers,
        )
        batches.append(list(islice(loader, 2)))
    for one, other in zip(*batches, strict=True):
        assert torch.equal(one.input, other.input)


def test_neither_library_is_loaded_before_it_is_used():
    code = (
        "import sys, timbrel.data.augmentation as a; a.Audiomentations(name='Gain', probability=0);"
        "print({'audiomentations', 'librosa', 'numba', 'pedalboard'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"
