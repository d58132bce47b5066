"""The curves of a run, grouped: loss, its terms, the rate, the optimizer."""

from dataclasses import dataclass

from markupsafe import Markup

from timbrel.report.figures import curves_figure
from timbrel.report.page import drawing
from timbrel.report.run_warnings import best_step
from timbrel.runs.folder import Curves, Run

_RATES = {"nats_per_frame": "nats per frame", "nats_per_second": "nats per second"}
_CODE = {
    "decode_change": "how far another sound's code moves the output (1: as the sounds differ)",
    "active_units": "active dimensions of the code",
}
_OPTIMIZER = {"learning_rate": "learning rate", "gradient_norm": "gradient norm, before clipping"}
_TERMS = {
    "stft_relative": "STFT, relative to the recording's energy",
    "stft_log": "STFT, logarithmic",
    "waveform": "waveform, sample by sample",
    "level": "short-time levels",
    "kl": "KL divergence, the price of the rate",
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
        "What training minimises. While the held-out line falls the model learns something that "
        "holds for recordings it has not seen; where it rises it learns by heart. Training "
        "recordings are scored the same way beside it, without augmentation: the gap between the "
        "two lines is what does not carry over."
    )
    titles = {"gap": "held-out loss above that of training recordings, as a share of it"}
    return CurveGroup("Loss", text, _figures(run, ["loss", "gap"], titles, best=best))


def _terms(run: Run) -> CurveGroup:
    names = {name.split("/", 1)[1] for name in run.curves if "/" in name}
    names -= {"loss", "gap", "phase", "elapsed_s", *_RATES, *_CODE, *_OPTIMIZER}
    text = "The parts of the loss, each before its weight."
    return CurveGroup("Terms of the loss", text, _figures(run, sorted(names), _TERMS))


def _rate(run: Run) -> CurveGroup:
    text = (
        "How much of a sound passes through the code. More nats mean closer copies and a code that "
        "is harder to play; near 0 the code says nothing and every sound comes out alike."
    )
    names = ["nats_per_frame"] if _any(run, "nats_per_frame") else ["nats_per_second"]
    return CurveGroup("Use of the code", text, _figures(run, [*names, *_CODE], _RATES | _CODE))


def _optimizer(run: Run) -> CurveGroup:
    text = (
        "The learning rate rises, holds and falls to 0 at the schedule's end. The gradient norm "
        "should stay within a factor of ten; spikes are batches that nearly broke it."
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
