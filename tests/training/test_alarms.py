"""Alarms: which curves raise them and when, and a real training that collapses."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from report_pages import Page
from signals import noise
from stages.training_jobs import TINY, lean, only_run
from timbrel.config.limits import DEFAULTS, LIMITS, ByKey
from timbrel.report.run_report import write_run_report
from timbrel.stages import train
from timbrel.sweeps.signature import config_digest
from timbrel.training.alarms import CLEARED, RAISED, Alarms, Change
from timbrel.training.callbacks import Validation
from timbrel.training.console import Console

HEALTHY = {"loss": 1.0, "nats_per_frame": 40.0, "active_units": 30.0, "decode_change": 0.8}


def alarms_of(tmp_path: Path, limits: ByKey = DEFAULTS, *, grace_steps: int = 0) -> Alarms:
    validation = Validation([], 1)
    return Alarms(tmp_path / "alarms.csv", validation, limits, grace_steps=grace_steps, patience=3)


def heard(alarms: Alarms, curve: list[dict[str, float]], every: int = 100) -> list[Change]:
    """All changes over validations at steps 100, 200, ... of the held-out scores in `curve`."""
    changes = []
    for number, scores in enumerate(curve, start=1):
        alarms.changes = []
        alarms.read(number * every, scores, {})
        changes += alarms.changes
    return changes


def with_losses(*losses: float) -> list[dict[str, float]]:
    return [{**HEALTHY, "loss": loss} for loss in losses]


def test_an_overfitting_curve_fires_at_the_right_step(tmp_path: Path) -> None:
    """Best 1.0 at step 300; above 1.05 from 500 on, so three in a row at 700; once."""
    losses = (3.0, 2.0, 1.0, 1.04, 1.06, 1.1, 1.2, 1.3, 1.4)
    (change,) = heard(alarms_of(tmp_path), with_losses(*losses))
    assert (change.reading.alarm, change.state) == ("held_out_loss", RAISED)
    assert (change.step, change.onset_step, change.reading.value) == (700, 500, 1.2)
    assert "let the training end" in change.reading.advice  # stopped, it leaves no model
    for words in ("step 300", "trainer.max_steps=300", "augmentation=", "init_from=", "latent="):
        assert words in change.reading.advice


def test_a_healthy_curve_never_fires(tmp_path: Path) -> None:
    noisy = [10 / n + (0.06 if n % 3 == 0 else 0.0) for n in range(1, 60)]  # never 3 in a row
    assert heard(alarms_of(tmp_path), with_losses(*noisy)) == []


def test_an_alarm_clears_once_and_may_come_back(tmp_path: Path) -> None:
    losses = (1.0, 1.2, 1.2, 1.2, 1.0, 1.2, 1.2, 1.0, 1.2, 1.2, 1.2)
    changes = heard(alarms_of(tmp_path), with_losses(*losses))
    told = [(change.step, change.state, change.onset_step) for change in changes]
    assert told == [(400, RAISED, 200), (500, CLEARED, 200), (1100, RAISED, 900)]
    assert "cleared" in changes[1].line
    assert "ALARM held_out_loss since step 900: 1.2 (limit 1.05)" in changes[2].line


def test_collapse_is_told_by_each_number(tmp_path: Path) -> None:
    dead = {"loss": 1.0, "nats_per_frame": 0.5, "active_units": 0.0, "decode_change": 0.05}
    changes = heard(alarms_of(tmp_path), [dead] * 5)
    assert {change.reading.alarm for change in changes} == {
        "kl_floor",
        "active_units",
        "decoder_listens",
    }
    assert {(change.step, change.onset_step) for change in changes} == {(300, 100)}
    assert all("latent=free_bits or latent=target_kl" in change.line for change in changes)


def test_a_deterministic_posterior_has_no_floor_but_the_rest(tmp_path: Path) -> None:
    dead = {"loss": 1.0, "active_units": 0.0, "decode_change": 0.0}
    alarms = alarms_of(tmp_path)
    heard(alarms, [dead] * 3)
    assert alarms.raised == {"active_units": True, "decoder_listens": True, "held_out_loss": False}


def test_the_gap_is_watched(tmp_path: Path) -> None:
    curve = [{**HEALTHY, "gap": gap} for gap in (0.7, 0.8, 0.8, 0.8)]
    (change,) = heard(alarms_of(tmp_path), curve)
    assert (change.reading.alarm, change.step) == ("generalisation_gap", 400)


def test_nothing_fires_in_the_grace_period_and_its_best_counts(tmp_path: Path) -> None:
    (change,) = heard(alarms_of(tmp_path, grace_steps=400), with_losses(1.0, *[1.2] * 6))
    assert (change.step, change.onset_step) == (700, 500)
    assert "step 100" in change.reading.advice


def test_an_alarm_without_a_limit_is_off(tmp_path: Path) -> None:
    alarms = alarms_of(tmp_path, dict.fromkeys(DEFAULTS))
    dead = {"loss": 1.0, "nats_per_frame": 0.0, "active_units": 0.0, "decode_change": 0.0}
    assert heard(alarms, [dead, *with_losses(9.0, 9.0, 9.0)]) == []
    assert alarms.raised == {}


def test_training_chunks_tell_of_the_code_where_none_is_held_out(tmp_path: Path) -> None:
    alarms = alarms_of(tmp_path)
    for step in (1, 2, 3):
        alarms.read(step, {}, {"loss": float(step), "decode_change": 0.0})
    assert alarms.raised == {"decoder_listens": True}  # a rising training loss is no overfitting


def test_a_number_that_is_none_is_not_judged(tmp_path: Path) -> None:
    assert heard(alarms_of(tmp_path), with_losses(1.0, *[float("nan")] * 4)) == []


@pytest.mark.parametrize("nothing", [float("nan"), float("inf")])
def test_a_first_loss_that_is_none_does_not_silence_the_rest(nothing, tmp_path: Path) -> None:
    (change,) = heard(alarms_of(tmp_path), with_losses(nothing, 1.0, 1.2, 1.2, 1.2))
    assert (change.reading.alarm, change.onset_step, change.step) == ("held_out_loss", 300, 500)


def test_the_memory_survives_a_resume(tmp_path: Path) -> None:
    losses = (1.0, 1.2, 1.2, 1.2, 1.0, 1.2, 1.2, 1.2)
    whole = heard(alarms_of(tmp_path), with_losses(*losses))
    for cut in range(1, len(losses)):
        alarms = alarms_of(tmp_path)
        changes = heard(alarms, with_losses(*losses[:cut]))
        again = alarms_of(tmp_path)
        again.load_state_dict(json.loads(json.dumps(alarms.state_dict())))
        for number, scores in enumerate(with_losses(*losses[cut:]), start=cut + 1):
            again.changes = []
            again.read(number * 100, scores, {})
            changes += again.changes
        assert changes == whole


@pytest.mark.parametrize("name", [name for name, limit in LIMITS.items() if limit.reads])
def test_every_alarm_is_raised_beyond_its_limit_and_not_within(name: str, tmp_path: Path) -> None:
    """A limit's neighbours, and the limit itself, as its direction says."""
    limit = LIMITS[name]
    worse = limit.default * (1.01 if limit.direction == "at_most" else 0.99)
    better = limit.default * (0.99 if limit.direction == "at_most" else 1.01)
    at = (limit.default, limit.direction == "above")
    for value, beyond in ((worse, True), (better, False), at):
        alarms = alarms_of(tmp_path)
        alarms.read(1, {"loss": 1.0}, {})
        loss = value if limit.reads == "held_out_ratio" else 1.0
        scores = {"loss": loss, str(limit.reads): value}
        changes = heard(alarms, [scores] * 3)
        assert [change.reading.alarm for change in changes] == [name] * beyond
        assert all("{" not in change.line for change in changes)


def test_limits_of_alarms_make_no_other_run() -> None:
    """A study does not train again because an alarm has another limit."""
    told = {"alarms": {"patience": 3}, "limits": {"parity": 1}}
    assert config_digest({"data": {}, **told}) == config_digest({"data": {}})


COLLAPSING = ("latent=beta_vae", "latent.weights.kl=1e5", "trainer.learning_rate=0.01")


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Eight noises of a third of a second, two of them held out: as overrides."""
    folder = tmp_path_factory.mktemp("sounds")
    for i in range(8):
        colour = np.cumsum if i % 2 else np.asarray
        soundfile.write(folder / f"{i}.wav", 0.01 * colour(noise(0.3, seed=i)), 48_000)
    shares = ["data.validation_fraction=0.25", "data.test_fraction=0.125"]
    return [f"data.root={folder}", *shares]


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "alarms.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_real_collapse_is_told_everywhere(
    sounds: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from wandb_records import history, inspected

    monkeypatch.chdir(tmp_path)
    lean(monkeypatch)
    tiny = [text for text in TINY if text.split("=")[0] not in ("logger", "trainer.max_steps")]
    chosen = ["alarms.grace_steps=7", "alarms.patience=2", "trainer.max_steps=42", "logger.clips=0"]
    assert train.main([*sounds, *tiny, *chosen, *COLLAPSING]) == 0
    run = only_run(tmp_path)
    row = next(row for row in rows_of(run) if row["alarm"] == "kl_floor")
    assert row["state"] == "raised"
    assert float(row["value"]) < float(row["limit"]) == 0.5
    line = f"ALARM kl_floor since step {row['onset_step']}: "
    assert capsys.readouterr().err.count(line) == 1

    records = inspected(next((run / "wandb").glob("offline-run-*")))
    logged = {
        item["trainer/global_step"]: item["alarm/kl_floor"]
        for item in history(records)
        if "alarm/kl_floor" in item
    }
    raised_at = int(row["step"])
    assert logged == {step: int(step >= raised_at) for step in logged}
    assert {raised_at, 42} <= logged.keys()
    assert any("validation/active_units" in item for item in history(records))
    assert any("train_clean/loss" in item for item in history(records))

    (run / "metrics.csv").unlink()  # or the page would draw two dozen curves
    words = Page(write_run_report(run).read_text("utf-8")).words
    assert f"Alarm: kl floor. From step {row['onset_step']}, raised at step {raised_at}:" in words
    assert words.index("Alarm: kl floor.") < words.index("A model of")


@pytest.mark.slow
def test_a_resumed_run_has_the_alarms_of_an_uninterrupted_one(
    sounds: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at step 9, after an alarm was written and before its checkpoint."""
    lean(monkeypatch)
    tiny = [text for text in TINY if not text.startswith("trainer.max_steps")]
    chosen = ["alarms.grace_steps=2", "alarms.patience=3", "trainer.validate_every_steps=3"]
    # The rate and the decoder's change lie beyond these limits from the start.
    chosen += ["limits.kl_floor_nats=1e9", "limits.decode_change=1e9", "trainer.max_steps=11"]
    chosen += ["logger.clips=0"]
    arguments = [*sounds, *tiny, *chosen]
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    assert train.main(arguments) == 0
    expected = (only_run(tmp_path / "whole") / "alarms.csv").read_bytes()
    assert [row["step"] for row in rows_of(only_run(tmp_path / "whole"))] == ["9", "9"]

    follow = Console.on_train_batch_end

    def killed(console, trainer, module, *rest):
        follow(console, trainer, module, *rest)
        if module.step == 9:
            raise ConnectionAbortedError  # the next callback would have saved a checkpoint

    monkeypatch.chdir(tmp_path / "killed")
    with monkeypatch.context() as patched:
        patched.setattr(Console, "on_train_batch_end", killed)
        with pytest.raises(ConnectionAbortedError):
            train.main(arguments)
    run = only_run(tmp_path / "killed")
    assert (run / "alarms.csv").read_bytes() == expected
    with (run / "alarms.csv").open("a") as file:
        file.write("9,held_out_lo")  # torn
    assert train.main([f"run={run}"]) == 0
    assert (run / "alarms.csv").read_bytes() == expected
