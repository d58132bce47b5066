"""The limits of alarms and gates: name, default, direction and advice of each, once.

`limits.<key>` of a config sets one; null switches its gate and its alarm off. A training keeps its
limits in its config, and `timbrel evaluate` reads them there.
"""

import math
from collections.abc import Mapping
from dataclasses import field, make_dataclass
from typing import Any

from timbrel.config.attribute_limits import ATTRIBUTE_LIMITS
from timbrel.config.bounds import Bounds
from timbrel.config.limit import Limit
from timbrel.config.slider_limits import SLIDER_LIMITS

WEAKER_PENALTY = (
    "lower the penalty (latent=free_bits or latent=target_kl, which keep the KL above 0, or a "
    "smaller weight under latent.weights)"
)
"""What to do if the posterior collapses; experiments/collapse shows that it helps."""

_STOP = f"stop the training and {WEAKER_PENALTY}"
_LESS_OVERFITTING = (
    "train again with augmentation=standard or strong, with more recordings, with a narrower or "
    "more strongly penalised code (latent=...), or from a related model (init_from=)"
)
_NOT_THE_MODEL = (
    "this is the prior's fault and not the model's; source=file, which uses no prior, is not "
    "affected"
)


LIMITS = {
    "kl_floor": Limit(
        key="kl_floor_nats",
        default=0.5,
        direction="above",
        help="lowest KL of the code, in nats per frame",
        title="KL",
        unit="nats/frame",
        held="the code holds information about the sound (KL in nats per frame)",
        broken="the code holds almost no information about the sound (KL in nats per frame): the "
        f"posterior has collapsed; {WEAKER_PENALTY} or train longer",
        reads="nats_per_frame",
        alarm="the code holds almost no information about the sound (KL in nats per frame): the "
        f"posterior is collapsing; {_STOP}",
    ),
    "active_units": Limit(
        key="active_units",
        default=1,
        direction="at_least",
        help="lowest number of code dimensions that differ between recordings",
        title="active units",
        better="higher",
        held="this many of the code's {dimensions} dimensions differ between sounds{nats}",
        broken="too few dimensions of the code differ between sounds{nats}: " + WEAKER_PENALTY,
        reads="active_units",
        alarm="too few dimensions of the code differ between sounds: the posterior is collapsing; "
        f"{_STOP}",
    ),
    "decoder_listens": Limit(
        key="decode_change",
        default=0.1,
        direction="at_least",
        help="lowest difference of two outputs, relative to that of their recordings (1: equal)",
        title="decode change",
        better="higher",
        held="the codes of two recordings decode to different sounds (1: as different as the "
        "recordings)",
        broken="the codes of two recordings decode to nearly the same sound: the decoder ignores "
        f"the code; {WEAKER_PENALTY}, or train longer",
        reads="decode_change",
        alarm="the codes of two recordings decode to nearly the same sound: the decoder ignores "
        f"the code; if the loss still falls, train on, otherwise {_STOP}",
    ),
    "clip_listens": Limit(
        key="clip_change",
        default=0.01,
        direction="at_least",
        help="lowest difference of two outputs whose clip code alone differs, relative to that of "
        "their recordings",
        title="decode change of the clip code",
        better="higher",
        held="the clip codes of two recordings decode to different sounds (1: as different as the "
        "recordings)",
        broken="the clip codes of two recordings decode to nearly the same sound: the decoder "
        "ignores them; train longer, with a narrower frame code (architecture.latent_dim), or "
        "without a clip code (architecture.clip_dim=0)",
    ),
    "held_out_loss": Limit(
        key="held_out_ratio",
        default=1.05,
        direction="at_most",
        help="highest ratio of the last held-out loss to the lowest one",
        title="held-out loss / lowest held-out loss",
        better="lower",
        held="the last held-out loss is close to the lowest one: no overfitting",
        broken="held-out loss rose after step {step}: overfitting; the weights of step {step} were "
        "kept. Train for fewer steps (trainer.max_steps={step}, or trainer.early_stop_patience), "
        "or add recordings or augmentation",
        reads="held_out_ratio",
        alarm="held-out loss was lowest at step {step} and has risen since: overfitting; let the "
        "training end (the weights of step {step} become the model), or stop it (then there is no "
        "model) and train for fewer steps (trainer.max_steps={step}), or " + _LESS_OVERFITTING,
    ),
    "generalisation_gap": Limit(
        key="generalisation_gap",
        default=0.75,
        direction="at_most",
        help="highest generalisation gap: (held-out loss - training loss) / training loss",
        title="generalisation gap",
        better="lower",
        held="held-out loss is close to the loss on training recordings",
        broken="held-out loss is far above the loss on training recordings (step {step}, as a "
        "share of the latter): overfitting; train for fewer steps, or "
        + _LESS_OVERFITTING.removeprefix("train again "),
        reads="gap",
        alarm="held-out loss is far above the loss on training recordings (as a share of the "
        "latter; held-out loss was lowest at step {step}): overfitting; " + _LESS_OVERFITTING,
    ),
    "front_end_parity": Limit(
        key="parity",
        default=1e-6,
        direction="at_most",
        help="largest difference of a file's samples in training and in generation",
        title="difference of training's and generation's input",
        better="lower",
        held="training and generation read the same samples of each file",
        broken="training and generation read different samples of the same file: the scores do not "
        "apply to source=file; delete the cache folder and train again, and report a bug if it "
        "stays",
    ),
    **ATTRIBUTE_LIMITS,
    "memorisation": Limit(
        key="memorisation",
        default=0.2,
        direction="at_least",
        help="lowest distance of a generated clip to training clips (1: as held-out recordings)",
        title="distance to nearest training clip",
        better="higher",
        held="no generated sound is a copy of a training clip ({counts})",
        broken="the generated sound of seed {seed} nearly is '{file}' at {start_s:.2f} s "
        "({counts}): compare the two in audio/generated. Before you share sounds of this model, "
        "train again for fewer steps, on more recordings, with augmentation=standard or strong, "
        "or with a stronger penalty (latent=...)",
    ),
    "coverage": Limit(
        key="coverage",
        default=0.1,
        direction="at_least",
        help="lowest share of training clips near a generated one (0: one sound's, 1: a perfect "
        "model's)",
        title="coverage",
        better="higher",
        held="the share of training clips that have a generated sound near them ({counts})",
        broken="few training clips have a generated sound near them ({counts}): the prior does not "
        "sound like the recordings; train longer, or, if the code has not collapsed, raise the "
        "penalty (latent.weights.kl), so that the code fits the prior; source=file is not affected",
    ),
    "diversity": Limit(
        key="diversity_deviation",
        default=0.5,
        direction="at_most",
        help="highest deviation of the variety of generated clips (Vendi score - 1) from that of "
        "reconstructions, as a share of the latter (1: all are the same)",
        title="deviation of diversity",
        better="lower",
        held="generated sounds differ from one another as recordings do (Vendi scores; {counts})",
        broken="generated sounds do not differ from one another as recordings do (Vendi scores; "
        f"{{counts}}): if there are too few and the code has collapsed too, {WEAKER_PENALTY}; "
        "otherwise " + _NOT_THE_MODEL,
    ),
    "time_structure": Limit(
        key="time_structure",
        default=6.0,
        direction="at_most",
        help="highest distance of generated sounds from reconstructions in how they begin, go on "
        "and end (kernel distance of 13 numbers, times 100; 0: the same)",
        title="time distance",
        better="lower",
        held="generated sounds begin, go on and end as recordings do (kernel distance of 13 "
        "numbers; {counts})",
        broken="generated sounds do not begin, go on and end as recordings do (kernel distance of "
        "13 numbers; {counts}): " + _NOT_THE_MODEL,
    ),
    "two_sample": Limit(
        key="two_sample_auc",
        default=0.8,
        direction="at_most",
        help="highest area under the curve of a classifier that tells generated sounds from "
        "reconstructions by how they go on in time (0.5: it cannot, 1: it always can)",
        title="told from reconstructions (AUC)",
        better="lower",
        held="generated sounds are not surely told from recordings by how they go on in time "
        "(area under the curve; {counts})",
        broken="generated sounds are told from recordings by how they go on in time (area under "
        "the curve; {counts}): " + _NOT_THE_MODEL,
    ),
    "endings": Limit(
        key="endings",
        default=0.1,
        direction="at_most",
        help="highest difference between the shares of generated sounds and of reconstructions "
        "that have ended (last 50 ms at least 30 dB below the peak)",
        title="difference of endings",
        better="lower",
        held="as many generated sounds end as recordings do (share of each; {counts})",
        broken="generated sounds do not end as recordings do (share of each whose last 50 ms lie "
        "30 dB below the peak; {counts}): " + _NOT_THE_MODEL,
    ),
    "rebound": Limit(
        key="rebound",
        default=0.15,
        direction="at_most",
        help="highest share of generated sounds that rise by more than 6 dB after their peak, "
        "beyond that of reconstructions",
        title="excess of rebounds",
        better="lower",
        held="generated sounds die away after their peak as recordings do (share of each that "
        "rises again by 6 dB; {counts})",
        broken="generated sounds rise again after their peak (share of each that does by 6 dB; "
        "{counts}): " + _NOT_THE_MODEL,
    ),
    "coherence": Limit(
        key="coherence",
        default=3.0,
        direction="at_most",
        help="highest share of the variance of textures that lies within each, relative to that "
        "of reconstructions",
        title="wandering within textures",
        better="lower",
        held="a generated texture stays what it is, as recordings do (variance within each as a "
        "share of all, over that of reconstructions; {counts})",
        broken="a generated texture wanders through all recordings (variance within each as a "
        "share of all, over that of reconstructions; {counts}): " + _NOT_THE_MODEL,
    ),
    "interpolation": Limit(
        key="interpolation",
        default=0.5,
        direction="at_least",
        help="lowest smoothness between the codes of two recordings (1: equal steps, 0: one jump)",
        title="smoothness",
        better="higher",
        held="the sound changes evenly between the codes of two recordings ({counts}; 1: in equal "
        "steps)",
        broken="the sound jumps between the codes of two recordings ({counts}; 0: in one step): "
        "interpolation is of no use; raise the penalty (latent.weights.kl=1, or latent=beta_vae), "
        "or train on more recordings",
    ),
    **SLIDER_LIMITS,
}
"""The limits by name of their gate (and alarm), in the order of tables."""

ByKey = Mapping[str, float | None]
"""A run's limits by key, as in `limits.*` of its config."""

_GONE = ("diversity",)
"""Keys of earlier runs: a lowest variety, where `diversity_deviation` has two sides."""

DEFAULTS: ByKey = {limit.key: limit.default for limit in LIMITS.values()}


def _field(limit: Limit) -> tuple[str, Any, Any]:
    about = {
        "help": ("alarm and gate: " if limit.reads else "gate: ") + limit.help,
        "bounds": Bounds(above=0, most=math.inf),
    }
    return limit.key, type(limit.default) | None, field(default=limit.default, metadata=about)


def _section(name: str, limits: Mapping[str, Limit]) -> type:
    about = "The section `limits` of a config; null switches a gate and its alarm off."
    namespace = {"__module__": __name__, "__doc__": about}
    return make_dataclass(name, map(_field, limits.values()), namespace=namespace)


LimitsConfig = _section("LimitsConfig", LIMITS)
SliderLimitsConfig = _section("SliderLimitsConfig", SLIDER_LIMITS)
"""Those by which an analysis judges."""


def moved(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a run, with the limits moved from `alarms` (older runs) to a section `limits`.

    A limit that is already in `limits` stays; one that is in neither has its default. Limits that
    there are no more are left out.
    """
    if isinstance(limits := saved.get("limits"), Mapping):
        saved = {**saved, "limits": {k: v for k, v in limits.items() if k not in _GONE}}
    alarms = saved.get("alarms")
    if not isinstance(alarms, Mapping):
        return dict(saved)
    own = {key: value for key, value in alarms.items() if key in DEFAULTS}
    rest = {key: value for key, value in alarms.items() if key not in DEFAULTS}
    limits = saved.get("limits")
    return {**saved, "alarms": rest, **({"limits": {**own, **(limits or {})}} if own else {})}
