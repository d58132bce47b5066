"""The limits of alarms and gates: name, default, direction and advice of each, once.

`limits.<key>` of a config sets one, or null for none: then its gate judges nothing and its alarm is
off. A training keeps its limits in its config, and `timbrel evaluate` takes them from there.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, make_dataclass
from typing import Any, Literal

from timbrel.config.bounds import Bounds

WEAKER_PENALTY = (
    "lower the penalty (latent=free_bits or latent=target_kl, which keep a rate, or a smaller "
    "weight under latent.weights)"
)
"""What to do about a code that collapses; experiments/collapse shows that it helps."""

_STOP = f"stop and {WEAKER_PENALTY}"
_LESS_BY_HEART = (
    "train again with augmentation=standard or strong, with more recordings, with a narrower or "
    "more strongly penalised code (latent=...), or from a related model (init_from=)"
)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What a number is compared with, and what a gate and an alarm say about it.

    `held`, `broken` and `alarm` are sentences, whose `{words}` are what was measured.
    """

    key: str
    default: float
    direction: Literal["above", "at_least", "at_most"]
    help: str
    title: str
    unit: str = ""
    better: Literal["lower", "higher"] | None = None
    """Which way is better where runs are compared; None where neither way is."""
    held: str
    broken: str
    reads: str | None = None
    """The number of a validation that an alarm watches; None where there is no alarm."""
    alarm: str = ""
    """What to do while the training still runs; `{step}` is that of the lowest held-out loss."""

    def holds(self, value: float, limit: float) -> bool:
        """Whether `value` is on the good side of `limit`; never, where it is nan."""
        if self.direction == "above":
            return value > limit
        return value >= limit if self.direction == "at_least" else value <= limit


LIMITS = {
    "kl_floor": Limit(
        key="kl_floor_nats",
        default=0.5,
        direction="above",
        help="the code's rate is above this, in nats per frame",
        title="rate",
        unit="nats/frame",
        held="the code carries information about the sound (nats per frame)",
        broken="the code carries next to nothing about the sound (nats per frame): the posterior "
        f"has collapsed; {WEAKER_PENALTY} or train longer",
        reads="nats_per_frame",
        alarm="the code carries next to nothing about the sound (nats per frame), the posterior is "
        f"collapsing: {_STOP}",
    ),
    "active_units": Limit(
        key="active_units",
        default=1,
        direction="at_least",
        help="so many dimensions of the code vary over the recordings, at least",
        title="active units",
        better="higher",
        held="so many of the code's {dimensions} dimensions differ between sounds{nats}",
        broken="too few dimensions of the code differ between sounds{nats}: " + WEAKER_PENALTY,
        reads="active_units",
        alarm="too few dimensions of the code differ from sound to sound, the posterior is "
        f"collapsing: {_STOP}",
    ),
    "decoder_listens": Limit(
        key="decode_change",
        default=0.1,
        direction="at_least",
        help="another sound's code changes the output by this, at least (1: as the sounds differ)",
        title="decode change",
        better="higher",
        held="another code is another sound (1: as the originals)",
        broken="another recording's code decodes to nearly the same sound: the decoder ignores the "
        f"code; {WEAKER_PENALTY}, or train longer",
        reads="decode_change",
        alarm="another sound's code decodes to nearly the same sound, the decoder ignores the "
        f"code: {_STOP}, or, where the loss still falls, let it train longer",
    ),
    "held_out_loss": Limit(
        key="held_out_ratio",
        default=1.05,
        direction="at_most",
        help="held-out loss over its own best, at most",
        title="held-out loss over its best",
        better="lower",
        held="training ended about where held-out loss was lowest",
        broken="held-out loss rose after step {step}: the model began to learn its files by heart; "
        "the weights of step {step} were kept. Train shorter (trainer.max_steps={step}, or "
        "trainer.early_stop_patience), or add recordings or augmentation",
        reads="held_out_ratio",
        alarm="held-out loss was lowest at step {step}, since then the model learns its recordings "
        "by heart: let it end (the weights of step {step} become the model), or stop it, which "
        "leaves no model, and train shorter (trainer.max_steps={step}); or " + _LESS_BY_HEART,
    ),
    "generalisation_gap": Limit(
        key="generalisation_gap",
        default=0.75,
        direction="at_most",
        help="held-out loss above that of training recordings, as a share of it, at most",
        title="gap to training loss",
        better="lower",
        held="held-out loss is not far above that of training recordings",
        broken="held-out loss is far above that of training recordings (step {step}, as a share of "
        "it): the model holds for its own recordings alone; train with augmentation=standard or "
        "strong, with more recordings, shorter, with a narrower or more strongly penalised code "
        "(latent=...), or from a related model (init_from=)",
        reads="gap",
        alarm="the loss on held-out recordings is far above that on training recordings (as a "
        "share of it; held-out loss was lowest at step {step}): " + _LESS_BY_HEART,
    ),
    "front_end_parity": Limit(
        key="parity",
        default=1e-6,
        direction="at_most",
        help="largest difference between what training and what generation hear of a file",
        title="training's and generation's input differ by",
        better="lower",
        held="training and generation hear the same samples",
        broken="training and generation hear different samples of the same file: scores do not "
        "speak for source=file; clear the cache folder and train again, and report it if it stays",
    ),
    "memorisation": Limit(
        key="memorisation",
        default=0.2,
        direction="at_least",
        help="distance of a generated clip to training, of held-out files' own, at least",
        title="nearest training clip",
        better="higher",
        held="no generated sound is a copy of a training clip ({counts})",
        broken="the generated sound of seed {seed} nearly is '{file}' at {start_s:.2f} s "
        "({counts}): compare them in audio/generated, and before you share sounds of this model, "
        "train it shorter, on more recordings, with augmentation=standard or strong, or with a "
        "stronger penalty (latent=...)",
    ),
    "coverage": Limit(
        key="coverage",
        default=0.1,
        direction="at_least",
        help="training clips that generated ones reach, at least: 0 as one sound, 1 as a perfect "
        "model",
        title="coverage",
        better="higher",
        held="generated sounds reach a share {counts}",
        broken="generated sounds lie near few recordings (share {counts}): the prior does not "
        "sound like them; train longer, or, where the code has not collapsed, raise the penalty "
        "(latent.weights.kl), so that it fits the prior; source=file stays as good as the "
        "reconstructions",
    ),
    "diversity": Limit(
        key="diversity",
        default=0.1,
        direction="at_least",
        help="Vendi score above 1 of generated clips, as a share of training clips', at least",
        title="diversity",
        better="higher",
        held="generated sounds differ from one another ({counts})",
        broken="generated sounds are nearly all the same ({counts}): where the code has collapsed "
        f"too, {WEAKER_PENALTY}, else train longer",
    ),
    "interpolation": Limit(
        key="interpolation",
        default=0.5,
        direction="at_least",
        help="smoothness between two recordings, at least (1: equal steps, 0: one jump)",
        title="smoothness",
        better="higher",
        held="between two recordings the sound moves evenly ({counts}; 1: equal steps)",
        broken="between two recordings the sound jumps ({counts}; 0: in one step): a slider would "
        "have two positions; raise the penalty (latent=vae or beta_vae), or train on more "
        "recordings",
    ),
}
"""By the name of the gate (and of the alarm), in the order of tables."""

ByKey = Mapping[str, float | None]
"""A run's limits, as `limits.*` of its config has them."""

DEFAULTS: ByKey = {limit.key: limit.default for limit in LIMITS.values()}


def _field(limit: Limit) -> tuple[str, Any, Any]:
    about = {
        "help": ("alarm and gate: " if limit.reads else "gate: ") + limit.help,
        "bounds": Bounds(above=0, most=math.inf),
    }
    return limit.key, type(limit.default) | None, field(default=limit.default, metadata=about)


LimitsConfig = make_dataclass(
    "LimitsConfig",
    map(_field, LIMITS.values()),
    namespace={
        "__module__": __name__,
        "__doc__": "The section `limits` of a config; null switches a gate and its alarm off.",
    },
)


def moved(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The config of an earlier run, whose limits stood under `alarms`, with a section `limits`.

    One that lies there already stays. What it did not name has its default.
    """
    alarms = saved.get("alarms")
    if not isinstance(alarms, Mapping):
        return dict(saved)
    own = {key: value for key, value in alarms.items() if key in DEFAULTS}
    rest = {key: value for key, value in alarms.items() if key not in DEFAULTS}
    limits = saved.get("limits")
    return {**saved, "alarms": rest, **({"limits": {**own, **(limits or {})}} if own else {})}
