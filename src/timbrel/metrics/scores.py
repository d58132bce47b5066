"""Scores by name: what they are called, their unit, which way is better.

Tables, curves and pages take names and directions from here. Knows neither torch nor numpy.
"""

from dataclasses import dataclass
from typing import Literal

from timbrel.limits import LIMITS


@dataclass(frozen=True)
class Score:
    """`unit` is empty where a score is dimensionless, `better` None where neither way is.

    A `stereo` score does not exist of one channel: it has an empty cell in a file's row, and of
    mono runs no row of the summary and no column of a page.
    """

    title: str
    unit: str
    better: Literal["lower", "higher"] | None
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
    "mrstft": Score("MR-STFT", "", "lower"),
    "log_mel_l1": Score("log-mel L1", "", "lower"),
    "si_sdr_db": Score("SI-SDR", "dB", "higher"),
    "loudness_error_lu": Score("loudness error", "LU", "lower"),
    "width_error": Score("width error", "", "lower", stereo=True),
}
"""In the order of tables; `metrics.reconstruction.evaluate` returns those that exist."""

RUN_SCORES = {
    gate: Score(limit.title, limit.unit, limit.better)
    for gate, limit in LIMITS.items()
    if gate != "front_end_parity"  # a fault where it fails, and no measure of a model
}
"""What a whole run has one number of: the gates of its evaluation, by their names."""
