"""The curves of a run, grouped: loss, its terms, use of the code, the optimizer."""

from dataclasses import dataclass

from markupsafe import Markup

from timbrel.report.figures import curves_figure
from timbrel.report.page import drawing
from timbrel.report.run_warnings import best_step
from timbrel.runs.folder import Curves, Run

_NATS = {"nats_per_frame": "nats per frame", "nats_per_second": "nats per second"}
_CODE = {
    "decode_change": "decode change: difference of two outputs over that of their recordings",
    "active_units": "active dimensions of the code (those that differ between sounds)",
    "disentanglement_mig": "disentanglement: gap between the two units that tell most (MIG)",
    "disentanglement_sap": "disentanglement: the same gap of correlations (SAP)",
    "disentanglement_modularity": "disentanglement: units tell of one attribute only (modularity)",
    "disentanglement_scc": "disentanglement: attributes follow a unit (rank correlation)",
}
_OPTIMIZER = {"learning_rate": "learning rate", "gradient_norm": "gradient norm, before clipping"}
_TERMS = {
    "stft_relative": "STFT, relative to the recording's energy",
    "stft_log": "STFT, logarithmic",
    "waveform": "waveform, sample by sample",
    "level": "short-time levels",
    "brightness": "spectral centroid",
    "phase_advance": "phase advance (frequencies)",
    "ltas": "long-term average spectrum",
    "kl": "KL of the posterior to the prior",
}
_DYNAMIC_RANGE = 30.0


@dataclass(frozen=True)
class CurveGroup:
    """Figures that answer one question, with the sentence that says which."""

    title: str
    text: str
    figures: tuple[tuple[str, Markup], ...]
    """Pairs of a title and a drawing."""


def curve_groups(run: Run) -> list[CurveGroup]:
    """Every curve of the run, in at most four groups; none where nothing was logged."""
    groups = [_loss(run), _terms(run), _rate(run), _optimizer(run)]
    return [group for group in groups if group.figures]


def _loss(run: Run) -> CurveGroup:
    best = best_step(run)
    text = (
        "Training minimises the loss. While the held-out loss falls, the model improves on "
        "recordings that it was not trained on; where it rises, the model overfits. The training "
        "recordings are scored in the same way, without augmentation; the distance between the "
        "two lines is the generalisation gap."
    )
    titles = {"gap": "generalisation gap: (held-out loss - training loss) / training loss"}
    return CurveGroup("Loss", text, _figures(run, ["loss", "gap"], titles, best=best))


def _terms(run: Run) -> CurveGroup:
    names = {name.split("/", 1)[1] for name in run.curves if "/" in name}
    names -= {"loss", "gap", "phase", "recordings", "elapsed_s", "disentanglement_n"}
    names -= {*_NATS, *_CODE, *_OPTIMIZER}
    text = "The terms of the loss, each before it is multiplied by its weight."
    return CurveGroup("Terms of the loss", text, _figures(run, sorted(names), _TERMS))


def _rate(run: Run) -> CurveGroup:
    text = (
        "How much information the code holds, measured as KL in nats. More nats mean more exact "
        "reconstructions and a code that is harder to sample from; near 0 nats the code holds no "
        "information and all outputs are alike (posterior collapse)."
    )
    names = ["nats_per_frame"] if _any(run, "nats_per_frame") else ["nats_per_second"]
    return CurveGroup("Use of the code", text, _figures(run, [*names, *_CODE], _NATS | _CODE))


def _optimizer(run: Run) -> CurveGroup:
    text = (
        "The learning rate rises from 0, stays at its peak, and falls to 0 at the end. The "
        "gradient norm should stay within a factor of ten; spikes show unstable batches."
    )
    return CurveGroup("Optimizer", text, _figures(run, list(_OPTIMIZER), _OPTIMIZER))


def _figures(
    run: Run, names: list[str], titles: dict[str, str], best: tuple[int, float] | None = None
) -> tuple[tuple[str, Markup], ...]:
    made = []
    for name in names:
        curves = _both(run.curves, name)
        if not curves:
            continue
        title = titles.get(name, name.replace("_", " "))
        values = [value for points in curves.values() for _, value in points]
        log = min(values) > 0 and max(values) / min(values) > _DYNAMIC_RANGE
        figure = curves_figure(
            curves,
            y_label=name.replace("_", " "),
            log_y=log and name != "learning_rate",
            best=(best[0], f"best: {best[0]}") if best else None,
            smooth=("training",) if name != "learning_rate" else (),
        )
        ends = ", ".join(f"{label} ends at {points[-1][1]:.4g}" for label, points in curves.items())
        shown = drawing(figure, f"{title} over training steps: {ends}")
        made.append((title[0].upper() + title[1:], shown))
    return tuple(made)


def _both(curves: Curves, name: str) -> Curves:
    """The curve in training and on held-out recordings, whichever there are."""
    named = {
        "training": f"train/{name}",
        "training, as held-out": f"train_clean/{name}",
        "held-out": f"validation/{name}",
        name: name,
    }
    found = {label: curves[key] for label, key in named.items() if curves.get(key)}
    finite = {
        label: [(step, value) for step, value in points if abs(value) < float("inf")]
        for label, points in found.items()
    }
    return {label: points for label, points in finite.items() if points}


def _any(run: Run, name: str) -> bool:
    return bool(_both(run.curves, name))
