"""Gates on a model's sliders: are there enough, do they change evenly, do their ends still sound?

They read the mapper alone, so that every evaluation of the model that it belongs to has them.
"""

from collections.abc import Callable, Sequence

import numpy as np

from timbrel.analysis.gates import Gate, judged, unknown
from timbrel.config.limits import LIMITS, ByKey
from timbrel.generation.controls.mapper import Mapper, Slider

_NO_PART = ("gain", "none")  # a gain behind the decoder is exact; what no sound has is no slider


def slider_gates(mapper: Mapper, limits: ByKey) -> list[Gate]:
    """Every gate of this module; `limits` are the run's."""
    found = [slider for slider in mapper.sliders.values() if slider.kind not in _NO_PART]
    held = [slider for slider in found if slider.verdict != "not held"]
    return [gate(held, limits[LIMITS[name].key]) for name, gate in GATES.items()]


def sliders(held: Sequence[Slider], least: float | None) -> Gate:
    """At least so many sliders are ok, but no more than there are families that the model holds."""
    if not held:
        why = "nothing to judge: the model holds no attribute that a slider could move"
        return unknown("sliders", least, why)
    ok = [slider.axis for slider in held if slider.verdict == "ok"]
    families = list(dict.fromkeys(slider.family for slider in held))
    limit = None if least is None else min(least, len(families))
    counts = f"{', '.join(ok) or 'none'}; families that the model holds: {', '.join(families)}"
    return judged("sliders", len(ok), limit, counts=counts)


def slider_extremes(held: Sequence[Slider], least: float | None) -> Gate:
    """The share of renders at both ends of sliders that sound and stay below full scale."""
    known = [slider for slider in held if slider.scores.get("ends")]
    if not known:
        why = "not measured: no slider can be used, or timbrel analyze is to be run again"
        return unknown("slider_extremes", least, why if held else "nothing to judge: no slider")
    broken = {slider.axis: int(slider.scores["broken_ends"]) for slider in known}
    renders = sum(int(slider.scores["ends"]) for slider in known)
    counts = f"{renders} renders" + "".join(f", {n} of {axis}" for axis, n in broken.items() if n)
    return judged("slider_extremes", 1 - sum(broken.values()) / renders, least, counts=counts)


def traversal_smoothness(held: Sequence[Slider], least: float | None) -> Gate:
    """The median smoothness of the sliders that are ok is at least `least`."""
    ok = {s.axis: float(s.scores["smoothness"]) for s in held if s.verdict == "ok"}
    if not ok:
        return unknown("traversal_smoothness", least, "nothing to judge: no slider is ok")
    counts = ", ".join(f"{axis} {value:.2f}" for axis, value in ok.items())
    return judged("traversal_smoothness", float(np.median([*ok.values()])), least, counts=counts)


GATES: dict[str, Callable[[Sequence[Slider], float | None], Gate]] = {
    "sliders": sliders,
    "slider_extremes": slider_extremes,
    "traversal_smoothness": traversal_smoothness,
}
"""By the name of the gate; the limits are those of `timbrel.config.limits`."""
