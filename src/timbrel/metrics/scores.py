"""The scores of a reconstruction by name: what they are called, their unit, which way is better.

Tables, curves and pages take names and directions from here. Knows neither torch nor numpy.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Score:
    """`unit` is empty where a score is dimensionless."""

    title: str
    unit: str
    better: Literal["lower", "higher"]

    @property
    def arrow(self) -> str:
        """An arrow towards better."""
        return "\u2193" if self.better == "lower" else "\u2191"

    @property
    def heading(self) -> str:
        """Title, unit and direction for a table.

        >>> SCORES["si_sdr_db"].heading
        'SI-SDR, dB \u2191'
        """
        return (
            f"{self.title}, {self.unit} {self.arrow}" if self.unit else f"{self.title} {self.arrow}"
        )

    def is_better(self, value: float, other: float) -> bool:
        """Whether `value` is strictly the better one."""
        return value < other if self.better == "lower" else value > other


SCORES = {
    "mrstft": Score("MR-STFT", "", "lower"),
    "log_mel_l1": Score("log-mel L1", "", "lower"),
    "si_sdr_db": Score("SI-SDR", "dB", "higher"),
    "loudness_error_lu": Score("loudness error", "LU", "lower"),
}
"""In the order of tables; `metrics.reconstruction.evaluate` returns exactly these."""
