"""How exactly the sliders of analysed runs land, by timbrel's measures and by others.

    python benchmarks/landing.py RUN [RUN ...] [--sounds 12]

New sounds each take a move to a random place within reach, alone and with `precise=true`. The
second estimates are pYIN, the centroid of librosa, and of the root mean square of 10 ms the time
from 10 to 75 % of its maximum and the slope behind it; none shares code with timbrel's.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
from numpy.typing import NDArray

import timbrel
from timbrel.attributes.measurement import measure
from timbrel.errors import UserError
from timbrel.library.instrument import Instrument
from timbrel.metrics.sliders import PLACE, on_axes

SECONDS = 3.0
FIRST_SEED = 30_000
MARGIN = 0.1  # of the reach, at either end, is not asked for
HOP_S = 0.01

Signal = NDArray[np.float32]
NAMES: dict[str, tuple[str, Callable[[float], float], str, float]] = {
    "brightness": ("brightness_octaves", lambda move: move, "octaves", 1.0),
    "pitch": ("pitch_st", lambda move: 12 * move, "cents", 1200.0),
    "hnr": ("hnr_change_db", lambda move: move, "dB", 1.0),
    "attack": ("attack_times", lambda move: 10**move, "decades", 1.0),
    "decay": ("decay_times", lambda move: 2**move, "octaves", 1.0),
}
"""Of an axis: the control, its value for a move, and the unit and scale of the table."""


def second_pitch(sound: Signal, rate_hz: int) -> float:
    """The median of pYIN over voiced frames, octaves; nan where fewer than a tenth are."""
    f0, voiced, _ = librosa.pyin(sound, fmin=40.0, fmax=4000.0, sr=rate_hz, frame_length=4096)
    known = f0[voiced & np.isfinite(f0)]
    return float(np.median(np.log2(known))) if len(known) > len(f0) / 10 else math.nan


def second_brightness(sound: Signal, rate_hz: int) -> float:
    """The median of librosa's centroid of power over frames within 40 dB of the loudest."""
    power = np.abs(librosa.stft(sound, n_fft=2048)) ** 2
    level = librosa.power_to_db(power.sum(0), ref=np.max, top_db=None)
    found = librosa.feature.spectral_centroid(S=power, sr=rate_hz)[0]
    return float(np.median(np.log2(np.maximum(found[level > -40.0], 1.0))))


def second_attack(sound: Signal, rate_hz: int) -> float:
    """Decades of seconds from 10 to 75 % of the largest root mean square, over 0.65."""
    level = _rms(sound, rate_hz)
    peak = int(level.argmax())
    rise = level[: peak + 1] / max(float(level[peak]), 1e-9)
    low = int(np.flatnonzero(rise <= 0.1)[-1]) if (rise <= 0.1).any() else 0
    high = low + int((rise[low:] >= 0.75).argmax())
    return math.log10(max(high - low, 1) * HOP_S / 4 / 0.65)


def second_decay(sound: Signal, rate_hz: int) -> float:
    """Octaves of dB per second behind the peak, down to 40 dB below it; nan where nothing falls."""
    level = librosa.amplitude_to_db(_rms(sound, rate_hz), ref=np.max, top_db=None)
    peak = int(level.argmax())
    under = np.flatnonzero(level[peak:] < -40.0)
    fall = level[peak : peak + (int(under[0]) if len(under) else len(level))]
    if len(fall) < 4:
        return math.nan
    slope = np.polyfit(np.arange(len(fall)) * HOP_S / 4, fall, 1)[0]
    return math.log2(-slope) if slope < 0 else math.nan


SECOND: dict[str, Callable[[Signal, int], float]] = {
    "pitch": second_pitch,
    "brightness": second_brightness,
    "attack": second_attack,
    "decay": second_decay,
}


def _rms(sound: Signal, rate_hz: int) -> NDArray[np.float64]:
    window = round(HOP_S * rate_hz)
    found = librosa.feature.rms(y=sound, frame_length=window, hop_length=window // 4)
    return np.asarray(found[0], np.float64)


def landed(instrument: Instrument, axis: str, sounds: int) -> dict[str, list[float]]:
    """Errors of every move, in the table's unit: open and closed, and open by the second."""
    slider = instrument.mapper.sliders[axis]
    control, value_of, _, scale = NAMES[axis]
    low, high = slider.reach
    rng = np.random.default_rng(0)
    errors: dict[str, list[float]] = {"open": [], "closed": [], "second": [], "second closed": []}
    for seed in range(FIRST_SEED, FIRST_SEED + sounds):
        move = low + (high - low) * rng.uniform(MARGIN, 1 - MARGIN)
        own = instrument.render(seed=seed, seconds=SECONDS)
        for precise in (False, True):
            try:
                sound = instrument.render(
                    seed=seed,
                    seconds=SECONDS,
                    precise=precise,
                    controls={control: value_of(move)},
                )
            except UserError:  # this sound does not have it
                continue
            pair = own.samples.mean(0), sound.samples.mean(0)
            rate_hz = instrument.sample_rate_hz
            ours = [on_axes(measure(x[None], rate_hz)) for x in pair]
            found = ours[1][PLACE[axis]] - ours[0][PLACE[axis]]
            errors["closed" if precise else "open"].append(abs(found - move) * scale)
            if axis in SECOND:
                before, after = (SECOND[axis](x, rate_hz) for x in pair)
                name = "second closed" if precise else "second"
                errors[name].append(abs(after - before - move) * scale)
    return errors


def main() -> None:
    """Measure the runs of the command line, and print a table row for each slider."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--sounds", type=int, default=12)
    given = parser.parse_args()
    print("| run | slider | range | open | closed | second, open | second, closed | n |")
    print("|---|---|---|---|---|---|---|---|")
    for run in given.runs:
        instrument = timbrel.load(run)
        if instrument.mapper is None:
            parser.error(f"{run}: no sliders yet; timbrel analyze run={run} finds them")
        for axis, (_, _, unit, scale) in NAMES.items():
            slider = instrument.mapper.sliders.get(axis)
            if slider is None or slider.verdict == "not held" or not slider.amounts:
                continue
            errors = landed(instrument, axis, given.sounds)
            low, high = instrument.mapper.ranges[axis]
            medians = [
                f"{np.nanmedian(column):.3g}" if np.isfinite(column).any() else ""
                for column in map(np.array, errors.values())
            ]
            print(
                f"| {run.name} | {axis}, {unit} | {(high - low) * scale:.3g} | "
                + " | ".join(medians)
                + f" | {len(errors['open'])} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
