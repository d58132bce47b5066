"""Scores by name: what they are called, their unit, which way is better.

Tables, curves and pages take names and directions from here. Knows neither torch nor numpy.
"""

from dataclasses import dataclass
from typing import Literal

from timbrel.config.limits import LIMITS


@dataclass(frozen=True)
class Score:
    """`unit` is empty where a score is dimensionless, `better` None where neither way is.

    `meaning` says to a reader of the page what the number tells.

    A `stereo` score does not exist of one channel: it has an empty cell in a file's row, and of
    mono runs no row of the summary and no column of a page.
    """

    title: str
    unit: str
    better: Literal["lower", "higher"] | None
    meaning: str
    stereo: bool = False

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
}
"""In the order of tables; `metrics.reconstruction.evaluate` returns those that exist."""

RUN_SCORES = {
    gate: Score(limit.title, limit.unit, limit.better, limit.help)
    for gate, limit in LIMITS.items()
    if gate != "front_end_parity"  # a fault where it fails, and no measure of a model
}
"""What a whole run has one number of: the gates of its evaluation, by their names."""
