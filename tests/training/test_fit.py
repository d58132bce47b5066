"""The loop itself: averaged weights are validated, the best are kept and are those it ends with."""

import copy
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from timbrel.config.limits import DEFAULTS
from timbrel.contracts import Batch
from timbrel.models.autoencoder import Autoencoder
from timbrel.training.alarms import Alarms
from timbrel.training.callbacks import BEST, LAST, Checkpoints, Clock, EarlyStop, Validation
from timbrel.training.checkpoint import resume_step
from timbrel.training.compute import Compute
from timbrel.training.fit import Fitted, fit
from timbrel.training.horizon import Horizon
from timbrel.training.module import Training
from timbrel.training.phases import Phase
from timbrel.training.validation import validate
from training.tiny import choices, measured, training

EVERY, TURN, STEPS = 2, 4, 14
CPU = Compute(accelerator="cpu", autocast=False, workers=0, pin_memory=False)
NO_OTHERS = {**dict.fromkeys(DEFAULTS), "held_out_ratio": 1.0001}
AT_ONCE = {"grace_steps": 0, "patience": 1}


class Recorder(pl.Callback):
    """Copies of the model and of its average after every step, and the losses they should have."""

    def __init__(self, validation: Validation) -> None:
        self.validation = validation
        self.raw: dict[int, dict[str, Tensor]] = {}
        self.averaged: dict[int, dict[str, Tensor]] = {}
        self.told: dict[int, float] = {}
        self.expected: dict[int, dict[str, float]] = {}

    def on_train_batch_end(self, trainer: pl.Trainer, module: Training, *_: Any) -> None:
        models = {"raw": module.model, "averaged": module.average.module}
        for name, model in models.items():
            weights = {k: v.detach().clone() for k, v in model.state_dict().items()}
            getattr(self, name)[module.step] = weights
        if self.validation.result is None:
            return
        self.told[module.step] = self.validation.result["loss"]
        self.expected[module.step] = {k: scored(module, model) for k, model in models.items()}


def scored(module: Training, model: Autoencoder) -> float:
    loss = module.reconstruction, module.mix, module.step
    found = validate(copy.deepcopy(model).eval(), [measured("rave")], *loss, nullcontext())
    return found["loss"]


def fitted(
    folder: Path,
    *phases: Phase,
    patience: int | None = None,
    recorder: type[Recorder] = Recorder,
) -> tuple[Training, Fitted, Recorder, Alarms]:
    """Some steps towards what is validated and more away from it, so that the last is not best."""
    chosen = choices("rave", "vae")
    module = training(chosen, phases=phases, steps=STEPS, learning_rate=3e-3)
    for name in ("optimizers", "manual_backward"):
        delattr(module, name)  # Lightning's own
    towards = measured("rave")
    away = towards.map(lambda x: 1e-3 * x if x.is_floating_point() else x)
    batches: list[Batch] = [towards] * TURN + [away] * (STEPS - TURN)
    clock = Clock()
    validation = Validation([towards], EVERY, recordings=30)  # they tell 1 % apart
    watcher = recorder(validation)
    alarms = Alarms(folder / "alarms.csv", validation, NO_OTHERS, **AT_ONCE)
    stop = [] if patience is None else [EarlyStop(validation, patience)]
    callbacks = [
        clock,
        validation,
        alarms,
        watcher,
        *stop,
        Checkpoints(folder, validation, clock, 3),
    ]
    loader = DataLoader(batches, batch_size=None)  # type: ignore[arg-type, var-annotated]
    return module, fit(module, loader, callbacks, folder, CPU, {}), watcher, alarms


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("whole")
    return folder, *fitted(folder)


def as_good_and_last(told: dict[int, float]) -> int:
    return max(step for step, loss in told.items() if loss <= 1.01 * min(told.values()))


def test_averaged_weights_are_what_is_validated(whole: Any) -> None:
    _, _, _, recorder, _ = whole
    assert [*recorder.told] == [*range(EVERY, STEPS + 1, EVERY)]
    for step, loss in recorder.told.items():
        assert loss == recorder.expected[step]["averaged"]
        assert loss != recorder.expected[step]["raw"]


def test_the_best_weights_are_kept_and_are_those_it_ends_with(whole: Any) -> None:
    folder, module, ended, recorder, _ = whole
    best = as_good_and_last(recorder.told)
    assert min(recorder.told, key=recorder.told.__getitem__) < best < STEPS  # or it proves nothing
    assert (ended.steps, ended.best_step, ended.best_loss) == (STEPS, best, recorder.told[best])
    for name, weights in (("raw", module.model), ("averaged", module.averaged)):
        kept = getattr(recorder, name)
        assert same(weights.state_dict(), kept[best])
        assert not same(weights.state_dict(), kept[STEPS])
    for file, step in ((BEST, best), (LAST, STEPS)):
        checkpoint = torch.load(folder / file, weights_only=True)
        assert checkpoint["timbrel"]["step"] == step
        saved = checkpoint["state_dict"]
        assert same({f"model.{k}": v for k, v in recorder.raw[step].items()}, saved)
        assert same({f"average.module.{k}": v for k, v in recorder.averaged[step].items()}, saved)


def test_a_resumed_training_counts_its_validations_on(whole: Any) -> None:
    """By the count it is told at which validations sounds are written."""
    folder, *_ = whole
    resumed = Validation([], EVERY)
    resumed.load_state_dict(torch.load(folder / LAST)["callbacks"][resumed.state_key])
    assert resumed.count == STEPS // EVERY


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


ONE, TWO = Phase(name="one"), Phase(name="two", from_step=10, train=["decoder"])


@pytest.mark.slow
def test_the_best_is_that_of_the_last_phase(whole: Any, tmp_path: Path) -> None:
    """The first phase was better throughout, and its weights are not what the second is for."""
    module, ended, recorder, alarms = fitted(tmp_path, ONE, TWO)
    assert min(recorder.told, key=recorder.told.__getitem__) <= 10
    later = {step: loss for step, loss in recorder.told.items() if step > 10}
    best = as_good_and_last(later)
    assert (ended.best_step, ended.best_loss) == (best, later[best])
    assert same(module.averaged.state_dict(), recorder.averaged[best])
    assert same(  # what rests rested, through Lightning's loop as well
        {k: v for k, v in recorder.raw[11].items() if k.startswith("encoder")}, recorder.raw[14]
    )
    lowest = min(later, key=later.__getitem__)  # what alarms compare with; no tolerance is theirs
    assert alarms.best == (lowest, later[lowest])
    unphased = whole[3].told
    assert {s: loss for s, loss in recorder.told.items() if s <= 10} == {
        s: loss for s, loss in unphased.items() if s <= 10
    }  # one currency: the curve does not jump for being phased


@pytest.mark.slow
def test_weights_of_a_phase_do_not_reach_the_validation(whole: Any, tmp_path: Path) -> None:
    none = dict.fromkeys(("stft_relative", "stft_log", "waveform", "level"), 0.0)
    louder = Phase(name="one", weights={**none, "stft_log": 1e-9})
    _, _, recorder, _ = fitted(tmp_path, louder, Phase(name="two", from_step=4))
    for step, loss in recorder.told.items():
        assert loss == recorder.expected[step]["averaged"] > 1.0


def timed(folder: Path, *, stop_after: int | None = None) -> tuple[Training, Fitted]:
    """Of 100 s: a second a step, two from the 30th on; stopped from outside after a step."""

    class Until(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, module: Training, *_: Any) -> None:
            if module.step == stop_after:
                raise KeyboardInterrupt

    module = training(choices("rave", "vae"))
    for name in ("optimizers", "manual_backward"):
        delattr(module, name)  # Lightning's own
    module.horizon = Horizon(max_time_s=100.0)
    first = resume_step(folder) or 0

    def now_s() -> float:
        step = module.step
        return float(step + max(0, step - 30))

    validation = Validation([measured("rave")], 1000)
    clock = Clock(now_s=now_s)
    callbacks = [clock, validation, Checkpoints(folder, validation, clock, 1000)]
    if stop_after:
        callbacks.append(Until())
    batches = DataLoader([measured("rave", n=1)] * (200 - first), batch_size=None)  # type: ignore[arg-type, var-annotated]
    return module, fit(module, batches, callbacks, folder, CPU, {})


@pytest.fixture(scope="module")
def whole_timed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Training, Fitted]:
    return timed(tmp_path_factory.mktemp("timed"))


def test_a_time_limit_is_measured_again_and_again(whole_timed: tuple[Training, Fitted]) -> None:
    """Ten steps: 97 % of the 90 s left; as every share passes, again by the pace of late."""
    module, ended = whole_timed
    found = [(item.step, item.last_step) for item in module.horizon.measured]
    assert found[:2] == [(10, 97), (20, 97)]
    assert found == [(10, 97), (20, 97), (30, 97), (40, 64), (50, 64), (60, 64)]
    assert (ended.steps, module.horizon.elapsed_s) == (64, 98.0)
    assert module.learning_rate < 0.02 * module.settings.learning_rate  # down the cosine


def test_stopped_between_two_measurements_it_goes_on_bit_for_bit(
    whole_timed: tuple[Training, Fitted], tmp_path: Path
) -> None:
    whole, ended = whole_timed
    with pytest.raises(KeyboardInterrupt):
        timed(tmp_path, stop_after=47)
    module, again = timed(tmp_path)
    assert again.steps == ended.steps
    assert module.horizon == whole.horizon
    assert same(module.state_dict(), whole.state_dict())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_stop_that_python_dropped_ends_the_training_after_its_step(
    tmp_path: Path, lose_a_stop: Callable[[], object]
) -> None:
    class Losing(Recorder):
        def on_train_batch_end(self, trainer: pl.Trainer, module: Training, *_: Any) -> None:
            if module.step == 3:
                lose_a_stop()

    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path, recorder=Losing)
    assert torch.load(tmp_path / LAST, weights_only=True)["timbrel"]["step"] == 3


@pytest.mark.slow
def test_early_stop_counts_in_the_last_phase_alone(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    _, ended, recorder, _ = fitted(tmp_path, patience=1)
    assert ended.steps < STEPS
    _, ended, recorder, _ = fitted(
        tmp_path / "two", ONE, Phase(name="two", from_step=13), patience=1
    )
    assert ended.steps == STEPS
    assert len(recorder.told) == 7


def test_alarms_compare_with_the_best_of_the_phase(tmp_path: Path) -> None:
    """Losses that rise raise the alarm; at a border its best begins anew, and it is cleared."""
    alarms = Alarms(tmp_path / "alarms.csv", None, NO_OTHERS, **AT_ONCE)  # type: ignore[arg-type]
    told = []
    for step, (phase, loss) in enumerate([(1, 1.0), (1, 2.0), (2, 3.0), (2, 2.9), (2, 3.5)]):
        alarms.changes = []
        alarms.read(step, {"loss": loss, "phase": float(phase)}, {})
        told += [(step, change.state) for change in alarms.changes]
    assert told == [(1, "raised"), (2, "cleared"), (4, "raised")]
    again = Alarms(tmp_path / "alarms.csv", None, NO_OTHERS, **AT_ONCE)  # type: ignore[arg-type]
    again.load_state_dict(alarms.state_dict())
    assert (again.best, again.phase) == ((3, 2.9), 2.0)
