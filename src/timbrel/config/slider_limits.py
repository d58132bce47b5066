"""The limits of gates on sliders, a part of `timbrel.config.limits`."""

from timbrel.config.limit import Limit

SLIDER_LIMITS = {
    "sliders": Limit(
        key="sliders",
        default=3,
        direction="at_least",
        help="lowest number of sliders that are ok, besides level; at most one for each family "
        "(timbre, harmony, temporal, spatial) of which the model holds an attribute",
        title="sliders that are ok",
        better="higher",
        held="this many sliders move one thing of a sound ({counts})",
        broken="too few sliders move one thing of a sound ({counts}): analysis/sliders.csv says "
        "why; train longer, or on more recordings that differ in what is to be moved",
    ),
    "slider_extremes": Limit(
        key="slider_extremes",
        default=1.0,
        direction="at_least",
        help="lowest share of renders at both ends of the sliders that are neither silent, nor not "
        "finite, nor above full scale where the sound as it is was not",
        title="ends of sliders that sound",
        better="higher",
        held="sounds stay whole at both ends of every slider ({counts})",
        broken="sounds are silent, not finite or above full scale at the end of a slider "
        "({counts} are): use less of its way, or train longer",
    ),
    "traversal_smoothness": Limit(
        key="traversal_smoothness",
        default=0.5,
        direction="at_least",
        help="lowest median smoothness of the sliders that are ok (1: equal steps, 0: one jump)",
        title="smoothness of sliders",
        better="higher",
        held="sliders change a sound evenly along their way ({counts}; 1: in equal steps)",
        broken="sliders change a sound in a jump ({counts}; 0: in one step): raise the penalty "
        "(latent.weights.kl=1, or latent=beta_vae), or train on more recordings",
    ),
}
"""By the name of the gate, in the order of tables."""
