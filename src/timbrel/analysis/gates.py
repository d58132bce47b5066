"""Gates: what must hold of a finished training, each with its number, its limit and what to do.

A gate is a function of what was measured that returns a row; more of them are more rows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from timbrel.analysis.evaluation import HELD_OUT, MODEL, NOISE, SILENCE, FileScore, write_csv
from timbrel.metrics.scores import SCORES

LATENT_PARITY = 5e-4
"""Half the smallest deviation a Gaussian posterior can have (log-variance -14: 9.1e-4): the decoder
was trained under more noise than that, so a smaller difference is no difference to it."""

WEAKER_PENALTY = (
    "lower the penalty (latent=free_bits or latent=target_kl, which keep a rate, or a smaller "
    "weight under latent.weights)"
)
"""What to do about a code that collapses; experiments/collapse shows that it helps."""

_JUDGED_BY = "log_mel_l1"
_WORDS = {True: "yes", False: "no", None: "unknown"}


@dataclass(frozen=True)
class Gate:
    """One row: `passed` is None where it could not be measured, and `value` nan."""

    name: str
    value: float
    limit: float
    passed: bool | None
    meaning: str

    @property
    def verdict(self) -> str:
        """`passed` as gates.csv writes it: yes, no or unknown."""
        return _WORDS[self.passed]

    @property
    def line(self) -> str:
        """For the terminal."""
        return f"gate {self.name}: {self.value:.3g} (limit {self.limit:.3g}): {self.meaning}"


def kl_floor(rows: Sequence[FileScore], frames_per_second: float, floor_nats: float) -> Gate:
    """The posterior's rate over all held-out files, in nats per frame, is above `floor_nats`."""
    held_out = [r for r in rows if r.system == MODEL and r.part in HELD_OUT]
    seconds = sum(row.seconds for row in held_out)
    nats = sum(row.nats_per_second * row.seconds for row in held_out)
    value = nats / (seconds * frames_per_second) if seconds else math.nan
    if math.isnan(value):
        passed, meaning = (
            None,
            (
                "no rate to check: the posterior is deterministic"
                if held_out
                else "no rate to check: no held-out file was scored"
            ),
        )
    elif passed := value > floor_nats:
        meaning = "the code carries information about the sound (nats per frame)"
    else:
        meaning = (
            "the code carries next to nothing about the sound (nats per frame): the posterior has "
            f"collapsed; {WEAKER_PENALTY} or train longer"
        )
    return Gate("kl_floor", value, floor_nats, passed, meaning)


def held_out_loss(curve: Sequence[tuple[int, float]], ratio: float) -> Gate:
    """The last validation loss over the smallest of the run is at most `ratio`."""
    name = "held_out_loss"
    curve = [point for point in curve if math.isfinite(point[1])]
    losses = [loss for _, loss in curve]
    if not losses or not min(losses) > 0:
        return Gate(
            name, math.nan, ratio, None, "no held-out loss to check: the run has no validation part"
        )
    value = losses[-1] / min(losses)
    if value <= ratio:
        return Gate(name, value, ratio, True, "training ended about where held-out loss was lowest")
    step = min(curve, key=lambda point: point[1])[0]
    return Gate(
        name,
        value,
        ratio,
        False,
        f"held-out loss rose after step {step}: the model began to learn its files by heart; the "
        f"weights of step {step} were kept. Train shorter (trainer.max_steps={step}, or "
        "trainer.early_stop_patience), or add recordings or augmentation",
    )


def front_end_parity(differences: Sequence[float], limit: float, unread: str | None = None) -> Gate:
    """Training and generation hear the same samples; see `parity.front_end_difference`.

    `unread` says why a file could not be compared.
    """
    gate = _parity(
        "front_end_parity",
        differences,
        limit,
        "training and generation hear the same samples",
        "training and generation hear different samples of the same file: scores do not speak for "
        "source=file; clear the cache folder and train again, and report it if it stays",
    )
    if unread is None or gate.passed is False:
        return gate
    return replace(gate, passed=None, meaning=f"not every file could be compared: {unread}")


def latent_parity(differences: Sequence[float], limit: float = LATENT_PARITY) -> Gate:
    """A stream has the code of the whole file; see `parity.latent_difference`."""
    return _parity(
        "latent_parity",
        differences,
        limit,
        "a file encoded in blocks has the code of the whole file",
        "a file encoded in blocks has another code than the whole file: the encoder's "
        "context_frames is too small for what it hears; this is a fault of the architecture",
    )


def _parity(name: str, differences: Sequence[float], limit: float, good: str, bad: str) -> Gate:
    if not differences:
        return Gate(name, math.nan, limit, None, "nothing to compare: no file could be read")
    value = float(np.max(differences))
    return Gate(name, value, limit, value <= limit, good if value <= limit else bad)


def better_than_silence(rows: Sequence[FileScore], part: str | None) -> Gate:
    """The model's mean log-mel L1 over the files of `part` is below that of silence."""
    return _better_than(
        SILENCE,
        rows,
        part,
        "the reconstructions are worse than silence: the model has learned nothing usable; train "
        "longer, and listen to audio/validation",
    )


def better_than_noise(rows: Sequence[FileScore], part: str | None) -> Gate:
    """The model's mean log-mel L1 is below that of noise with each file's own spectrum."""
    return _better_than(
        NOISE,
        rows,
        part,
        "noise with each file's own spectrum scores as well: the model has learned colour and "
        "level but no course in time (of recordings that are noise themselves there is no more to "
        "learn); train longer, or give it more latent values (architecture.latent_dim)",
    )


def _better_than(control: str, rows: Sequence[FileScore], part: str | None, bad: str) -> Gate:
    name, score = f"better_than_{control}", SCORES[_JUDGED_BY]
    if part is None:
        return Gate(name, math.nan, math.nan, None, "nothing to compare: no held-out file scored")
    value, limit = (
        float(np.mean([r.scores[_JUDGED_BY] for r in rows if (r.part, r.system) == (part, system)]))
        for system in (MODEL, control)
    )
    passed = score.is_better(value, limit)
    good = f"the reconstructions are closer than {control} ({score.title}, {part} files)"
    return Gate(name, value, limit, passed, good if passed else bad)


def write_gates(path: Path, gates: Sequence[Gate]) -> None:
    """`gates.csv`."""
    write_csv(
        path,
        ["gate", "value", "limit", "passed", "meaning"],
        ([g.name, g.value, g.limit, g.verdict, g.meaning] for g in gates),
    )
