"""Scores by name: what they are called, their unit, which way is better.

Tables, curves and pages take names and directions from here. Knows neither torch nor numpy.
"""

from dataclasses import dataclass
from typing import Literal

from timbrel.config.limits import LIMITS
from timbrel.config.slider_limits import SLIDER_LIMITS


@dataclass(frozen=True)
class Score:
    """`unit` is empty where a score is dimensionless, `better` None where neither way is.

    `meaning` says to a reader of the page what the number tells.

    A `stereo` score does not exist of one channel: it has an empty cell in a file's row, and of
    mono runs no row of the summary and no column of a page. `centre` is what files are summarised
    by: the median where an error may be a whole octave and says no more than that it is wrong.
    """

    title: str
    unit: str
    better: Literal["lower", "higher"] | None
    meaning: str
    stereo: bool = False
    centre: Literal["mean", "median"] = "mean"

    @property
    def arrow(self) -> str:
        """An arrow towards better; nothing where there is no better."""
        return {"lower": "\u2193", "higher": "\u2191", None: ""}[self.better]

    @property
    def heading(self) -> str:
        """Title, unit and direction for a table.

        >>> SCORES["si_sdr_db"].heading
        'SI-SDR, dB \u2191'
        """
        title = f"{self.title}, {self.unit}" if self.unit else self.title
        return f"{title} {self.arrow}".rstrip()

    def is_better(self, value: float, other: float) -> bool:
        """Whether `value` is strictly the better one; never, where there is no better."""
        if self.better is None:
            return False
        return value < other if self.better == "lower" else value > other


SCORES = {
    "mrstft": Score(
        "MR-STFT",
        "",
        "lower",
        "Distance of the spectra at three resolutions. 0 is identical; the noise control is the "
        "score of a sound with the right average spectrum and nothing else.",
    ),
    "log_mel_l1": Score(
        "log-mel L1",
        "",
        "lower",
        "Mean difference of the levels in 128 mel bands, in natural logarithms: 0.1 is about "
        "0.9 dB.",
    ),
    "si_sdr_db": Score(
        "SI-SDR",
        "dB",
        "higher",
        "Energy of the correct part of the waveform over that of the error; at 0 dB both are "
        "equal. Sounds that sound alike may score low, because phase counts.",
    ),
    "loudness_error_lu": Score(
        "loudness error", "LU", "lower", "Difference of the loudness. 1 LU is just audible."
    ),
    "width_error": Score(
        "width error",
        "",
        "lower",
        "Difference of the stereo width: the side's share of mid and side, 0 for mono and 1 for "
        "antiphase.",
        stereo=True,
    ),
    "pitch_accuracy": Score(
        "pitch accuracy",
        "",
        "higher",
        "Of recordings with a pitch: the share of their voiced time in which the reconstruction's "
        "pitch is within 50 cents, half a semitone.",
    ),
    "octave_errors": Score(
        "octave errors",
        "",
        "lower",
        "Of recordings with a pitch: the share of their voiced time in which the reconstruction "
        "has the right note in another octave.",
    ),
    "pitch_error_cents": Score(
        "pitch error",
        "cents",
        "lower",
        "Of recordings with a pitch: how far the pitch is off, the median of recordings. 100 cents "
        "are a semitone, 5 are just heard; 4,800 where there is no pitch any more.",
        centre="median",
    ),
    "second_pitch_accuracy": Score(
        "pitch accuracy by SwiftF0",
        "",
        "higher",
        "The pitch accuracy as another tracker hears it (evaluate.second_pitch=swift_f0).",
    ),
    "second_pitch_error_cents": Score(
        "pitch error by SwiftF0",
        "cents",
        "lower",
        "The pitch error as another tracker hears it (evaluate.second_pitch=swift_f0).",
        centre="median",
    ),
    "brightness_error_octaves": Score(
        "brightness error",
        "octaves",
        "lower",
        "How far the spectral centroid is off, the median of recordings.",
        centre="median",
    ),
    "hnr_error_db": Score(
        "HNR error",
        "dB",
        "lower",
        "Of recordings with a pitch: how far the harmonic-to-noise ratio is off, the median of "
        "recordings.",
        centre="median",
    ),
    "attack_error_decades": Score(
        "attack error",
        "decades",
        "lower",
        "Of notes and hits: how far the attack time is off, the median of recordings. "
        "0.3 is twice as long or half as long. None counts as shorter than 2 ms or a period of f0.",
        centre="median",
    ),
    "decay_error_octaves": Score(
        "decay error",
        "octaves",
        "lower",
        "Of notes and hits that fade: how far the rate of the decay is off, the median. "
        "1 is twice as fast or half as fast.",
        centre="median",
    ),
    "frame_rate_lines_db": Score(
        "frame-rate lines",
        "dB",
        "lower",
        "How far lines at multiples of the model's frame rate stand out, where the recording has "
        "none: a hum of the model's own. 10 is a sound that is nothing else.",
    ),
    "partials_error_db": Score(
        "partials error",
        "dB",
        "lower",
        "Of recordings with a pitch: how far the levels of the first twelve partials are off "
        "beside the loudest. A flat tone in place of a clarinet's has 10 to 15.",
    ),
    "ringing_db": Score(
        "ringing",
        "dB",
        "lower",
        "How much rougher the spectrum is than the recording's where that is noise: noise that "
        "comes out as many steady tones sounds like metal. Noise has 0, half noise half tones 2.",
    ),
}
"""In the order of tables. `metrics.reconstruction.evaluate` returns the spectral ones,
`metrics.attributes.attribute_errors` those of attributes, where they exist."""

RUN_SCORES = {
    gate: Score(limit.title, limit.unit, limit.better, limit.help)
    for gate, limit in LIMITS.items()
    # A fault where it fails, and no measure of a model; and what no training ends with.
    if gate != "front_end_parity" and gate not in SLIDER_LIMITS
}
"""What a whole run has one number of: the gates that its training ends with, by their names."""

MODEL_SCORES = {
    "parameters": Score("parameters", "", "lower", "Trained numbers of the whole model."),
    "context_ms": Score(
        "context",
        "ms",
        "lower",
        "How much sound one sample of the output depends on: what a player that streams waits for, "
        "at most.",
    ),
    "real_time": Score(
        "real-time factor",
        "",
        "higher",
        "Seconds of sound that the decoder makes in a second, on the device of the training. It "
        "varies with the machine and with what else runs on it.",
    ),
}
"""What a model costs, whatever it has learned; for sweeps."""
