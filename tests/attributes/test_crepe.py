"""CREPE decides the octave of f0, and the period its cents."""

import subprocess
import sys

import numpy as np
import pytest

from signals import impulse, noise, sine
from timbrel.attributes.crepe import check_installed
from timbrel.attributes.measurement import measure
from timbrel.attributes.pitch import pitch_track
from timbrel.errors import UserError

RATE_HZ = 48_000


def cents(found: float | None, hz: float) -> float:
    assert found is not None
    return 1200 * np.log2(found / hz)


@pytest.mark.parametrize("hz", [55.0, 123.47, 440.0, 987.77, 1760.0])
def test_tones_are_found_to_a_cent(hz):
    pytest.importorskip("torchcrepe")
    partials = sum(sine(k * hz, 0.5) / k for k in range(1, 5))
    found = measure(0.2 * partials[None], RATE_HZ, pitch="crepe")
    assert abs(cents(found.value("f0_hz"), hz)) < 1.0
    assert found.confidence("f0_hz") > 0.7


@pytest.mark.parametrize(
    "audio",
    [
        np.zeros((1, 9600), np.float32),
        np.zeros((1, 0), np.float32),
        impulse(0.5, at_s=0.1)[None],
        noise(0.2)[None],
        sine(440.0, 0.01)[None],
        np.stack([sine(440.0, 0.2), -sine(440.0, 0.2)]),
    ],
    ids=["silence", "nothing", "click", "noise", "10 ms", "antiphase"],
)
def test_everything_is_finite(audio):
    pytest.importorskip("torchcrepe")
    found = measure(audio, RATE_HZ, pitch="crepe")
    assert np.isfinite(found.clip_values).all()
    assert np.isfinite(found.frame_values).all()
    if len(audio) == 2:
        assert abs(cents(found.value("f0_hz"), 440.0)) < 1.0


def test_a_guide_decides_the_octave_and_the_period_the_cents():
    audio = (sine(220.0, 0.5) + 0.5 * sine(440.0, 0.5))[None]
    sounding = np.ones(50, bool)
    for guide in (110.0, 220.0, 224.0):
        found = pitch_track(audio, RATE_HZ, sounding, guide_hz=np.full(50, guide))
        expected = 110.0 if guide == 110.0 else 220.0
        inner = found.f0_hz[8:-8]
        assert np.abs(1200 * np.log2(inner / expected)).max() < 1.0


def test_without_a_guide_no_f0_is_believed_and_the_periodicity_stays():
    audio = (sine(220.0, 0.5) + 0.3 * noise(0.5))[None]
    sounding = np.ones(50, bool)
    none = pitch_track(audio, RATE_HZ, sounding, guide_hz=np.full(50, np.nan))
    own = pitch_track(audio, RATE_HZ, sounding)
    assert own.voiced.any()
    assert not none.voiced.any()
    assert np.median(none.hnr_db) == pytest.approx(np.median(own.hnr_db), abs=0.1)


def test_without_the_extra_the_way_out_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchcrepe", None)
    with pytest.raises(UserError, match=r"pip install 'timbrel\[crepe\]', or take pitch=yin"):
        measure(sine(440.0, 0.2)[None], RATE_HZ, pitch="crepe")


def test_the_extra_is_looked_for_without_importing_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchcrepe", None)
    with pytest.raises(UserError, match=r"pip install 'timbrel\[crepe\]', or take pitch=yin"):
        check_installed()


@pytest.mark.parametrize("audio", [sine(3000.0, 0.3), noise(0.3)], ids=["above its range", "noise"])
def test_the_harmonic_to_noise_ratio_is_yins_where_the_network_hears_no_pitch(audio):
    pytest.importorskip("torchcrepe")
    by_crepe, by_yin = (measure(audio[None], RATE_HZ, pitch=pitch) for pitch in ("crepe", "yin"))
    assert by_crepe.value("f0_hz") is None
    assert by_crepe.value("hnr_db") == pytest.approx(by_yin.value("hnr_db"), abs=0.1)


def test_measuring_by_yin_imports_no_torch():
    program = (
        "import numpy as np, sys; from timbrel.attributes.measurement import measure; "
        "measure(np.zeros((1, 4800), np.float32), 48000); "
        "sys.exit(bool({'torch', 'torchcrepe', 'librosa'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
