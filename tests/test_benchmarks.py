"""The benchmark scripts run: the cheapest figure end to end, and the table of a made-up grid."""

import csv
import importlib.util
import json
import runpy
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import optuna
import pytest
import soundfile
import yaml

from bundles import small_bundle
from signals import sine
from stages.training_jobs import TINY


def script(checkout: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        f"benchmark_{name}", checkout / f"benchmarks/{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_cheapest_figure_end_to_end(checkout: Path, tmp_path: Path) -> None:
    command = [sys.executable, checkout / "benchmarks/speed.py", "--only", "timbrel --help"]
    done = subprocess.run([*command, "--out", tmp_path / "s.csv"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (row,) = rows(tmp_path / "s.csv")
    assert (row["figure"], row["unit"]) == ("start: timbrel --help", "s")
    assert 0.01 < float(row["low"]) <= float(row["median"]) <= float(row["high"]) < 30.0
    assert 5.0 < float(row["peak_mib"]) < 400.0  # nothing heavy is imported


def test_every_architecture_has_its_figures(checkout: Path) -> None:
    speed = script(checkout, "speed")
    names = [figure.name for figure in speed.figures()]
    assert len(set(names)) == len(names)
    for path in (checkout / "conf/architecture").glob("*.yaml"):
        assert {f"training: {path.stem}", f"decoding: {path.stem}"} <= set(names)


slow = pytest.mark.slow


@pytest.mark.parametrize(
    "figure",
    [
        "pqmf: round trip",
        "pqmf: synthesis",
        "pqmf: round trip and gradient",
        pytest.param("chunks: augmentation=none", marks=slow),
        pytest.param("catalog: warm", marks=slow),
        pytest.param("cache: decode", marks=slow),
        pytest.param("training: spectral_small", marks=slow),
        pytest.param("decoding: spectral_small", marks=slow),
        pytest.param("training: harmonic_small", marks=slow),
        "decoding: harmonic_small",
    ],
)
def test_a_figure_in_this_process(checkout: Path, figure: str) -> None:
    speed = script(checkout, "speed")
    (found,) = (one for one in speed.figures() if one.name == figure)
    row = speed.row(found)
    assert tuple(row) == speed.COLUMNS
    assert row["median"] > (80.0 if row["unit"] == "dB SNR" else 1.0)


def finished_cell(quality: ModuleType, out: Path, architecture: str, minutes: float) -> None:
    """A cell's folder as a training leaves it, with scores that follow from the minutes."""
    cell = quality.Cell("drums", architecture, minutes, 0)
    run = out / cell.name / "outputs" / "run"
    (run / "evaluation").mkdir(parents=True)
    data = {"chunk_samples": 65_536, "sample_rate_hz": 48_000}
    (run / "config.yaml").write_text(yaml.safe_dump({"data": data, "trainer": {"batch_size": 8}}))
    (run / "metrics.csv").write_text("step,name,value\n10,train/loss,4.0\n120,train/loss,2.0\n")
    lines = ["part,system,metric,mean,low,high,files"]
    for system, score in (("model", 3.0 / minutes), ("silence", 4.3), ("noise", 2.7)):
        for metric in quality.METRICS:
            lines.append(f"test,{system},{metric},{score},{score - 0.1},{score + 0.2},9")
    lines.append("train,model,mrstft,0.1,0.1,0.1,37")
    (run / "evaluation/summary.csv").write_text("\n".join(lines) + "\n")
    outcome = quality.Outcome(cell, "done", "run", 100.0, 0.5, "done")
    told = {**vars(outcome), "cell": vars(cell)}
    (out / cell.name / quality.CELL_FILE).write_text(json.dumps(told))


def test_the_table_of_a_grid(checkout: Path, tmp_path: Path) -> None:
    quality = script(checkout, "quality")
    for architecture in ("spectral", "rave"):
        for minutes in (2.0, 8.0):
            finished_cell(quality, tmp_path / "grid", architecture, minutes)
    command = [sys.executable, checkout / "benchmarks/quality.py", "--table-only"]
    places = ["--out", tmp_path / "grid", "--results", tmp_path / "results"]
    done = subprocess.run([*command, *places], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    table = rows(tmp_path / "results/quality.csv")
    systems = [(row["system"], row["minutes"]) for row in table]
    assert systems == [
        ("rave", "2.0"),
        ("spectral", "2.0"),
        ("rave", "8.0"),
        ("spectral", "8.0"),
        ("noise", ""),
        ("silence", ""),
    ]
    assert [float(row["mrstft"]) for row in table] == [1.5, 1.5, 0.375, 0.375, 2.7, 4.3]
    assert (table[0]["mrstft_low"], table[0]["mrstft_high"]) == ("1.4", "1.7")
    assert table[0]["steps"] == "120"
    audio_s = 120 * 8 * 65_536 / 48_000
    assert float(table[0]["audio_s_per_s"]) == pytest.approx(audio_s / 120, rel=1e-4)
    assert "| rave | 2 | 1.500 (1.400 to 1.700) |" in done.stdout
    assert "| noise |  | 2.700" in done.stdout
    assert (tmp_path / "results/quality.svg").read_text().startswith("<?xml")
    first = (tmp_path / "results/quality.svg").read_bytes()
    quality.draw(quality.table(tmp_path / "grid"), tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_bytes() == first


FAKE_TIMBREL = """#!{python}
import pathlib, sys
words = sys.argv[2:]
with open("calls.txt", "a") as file:
    file.write(" ".join(words) + "\\n")
resumed = [word[4:] for word in words if word.startswith("run=")]
run = pathlib.Path(resumed[0] if resumed else "outputs/run")
run.mkdir(parents=True, exist_ok=True)
(run / "config.yaml").touch()
(run / "last.ckpt").touch()
print("step 1\\rstep 2")
if "rave" in str(pathlib.Path.cwd()) and not resumed:
    sys.exit("timbrel train: it broke")
print(f"done: {{run}}")
"""


def test_a_grid_skips_resumes_and_isolates(checkout: Path, tmp_path: Path, capsys) -> None:
    quality = script(checkout, "quality")
    fake = tmp_path / "timbrel"
    fake.write_text(FAKE_TIMBREL.format(python=sys.executable))
    fake.chmod(0o755)
    quality.TIMBREL = fake
    cells = [quality.Cell("drums", name, 2.0, 0) for name in ("rave", "spectral")]
    places = (tmp_path / "grid", tmp_path / "data", tmp_path / "splits.json")
    assert quality.train_grid(cells, *places) == 1
    assert "failed in" in (told := capsys.readouterr().out)
    assert "timbrel train: it broke" in told
    assert quality.outcome_of(tmp_path / "grid" / cells[1].name).state == "done"
    assert quality.train_grid(cells, *places) == 0
    calls = [(places[0] / cell.name / "calls.txt").read_text().splitlines() for cell in cells]
    assert [len(lines) for lines in calls] == [2, 1]
    assert calls[0][1] == f"run={places[0] / cells[0].name / 'outputs/run'}"
    assert "architecture=spectral" in calls[1][0]
    assert f"data.root={tmp_path / 'data/drums'}" in calls[1][0]
    assert "data.split_theme=drums data.validation_fraction=0.15" in calls[1][0]
    assert "trainer.max_time=2m" in calls[1][0]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_expansion_tells_its_figures(checkout: Path) -> None:
    command = [sys.executable, checkout / "benchmarks/expansion.py", "data=demo", "data.files=6"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, rendered, *rates = done.stdout.splitlines()
    assert first.startswith("augmentation: ")
    assert 0 < float(rendered.split()[4]) < 100
    assert len(rates) == 2
    assert all(float(line.split()[2]) > 1 for line in rates)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ordering_compares_with_the_factors(checkout: Path, tmp_path: Path) -> None:
    timbrel = Path(sys.executable).with_name("timbrel")
    run = tmp_path / "run"
    words = [*TINY, "data=demo", "data.files=6", "latent=ar_vae", "trainer.max_steps=2"]
    subprocess.run([timbrel, "train", *words, f"hydra.run.dir={run}"], check=True)
    command = [sys.executable, checkout / "benchmarks/ordering.py", run, "--files", "12"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "12 fresh sounds (seed 1), run"
    assert lines[1].startswith("dimension 0 (log_f0_octaves), all (12): f0_hz ")
    own = next(line for line in lines if line.startswith("f0_hz itself, all (12)"))
    assert "f0_hz +1.000" in own


@pytest.mark.parametrize(
    ("config", "words", "message"),
    [
        ("latent: {frame_attributes: [log_f0]}", ["--seed", "0"], "sounds that trainings hear"),
        ("latent: {dropout: 0.0}", [], "train with latent=ar_vae"),
        (None, [], "no run folder of a training"),
    ],
)
def test_ordering_refuses_what_would_prove_nothing(
    checkout: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    config: str | None,
    words: list[str],
    message: str,
) -> None:
    if config is not None:
        (tmp_path / "config.yaml").write_text(config)
    script = str(checkout / "benchmarks/ordering.py")
    monkeypatch.setattr(sys, "argv", [script, str(tmp_path), *words])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(script, run_name="__main__")
    assert message in capsys.readouterr().err


def test_the_bias_of_disentanglement_scores(checkout: Path) -> None:
    """Of a perfect code every score is high but modularity, which counts the noise beside it."""
    module = script(checkout, "disentanglement")
    found = module.bias(60, 1, 0.0)
    assert len(found) == 9
    for name, (score, null) in found.items():
        assert score > (0.5 if name == "modularity" else 0.8), name
        assert null < 0.35, name
    assert set(module.coverage(40, 2)) == set(module.CHEAP)


def test_the_memory_told_is_what_is_in_use(checkout: Path) -> None:
    memory = script(checkout, "memory")
    before = memory.resident_mib()
    held = np.ones(32 * 2**17)
    assert memory.resident_mib() - before == pytest.approx(32, abs=3)
    del held
    assert memory.resident_mib() - before == pytest.approx(0, abs=3)


@pytest.mark.slow
def test_memory_stays_flat_over_renders_and_over_changes_of_the_model(
    checkout: Path, tmp_path: Path
) -> None:
    """In a process of its own. A model that is not let go is 16 MiB for each change."""
    models = [small_bundle(tmp_path / name, width=320, louder=x) for x, name in enumerate("ab")]
    assert all((model / "weights.safetensors").stat().st_size > 15 * 2**20 for model in models)
    command = [sys.executable, checkout / "benchmarks/memory.py", *models]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["renders"] <= 8
    assert found["switches"] <= 8


def test_pitch_counts_octaves_and_what_has_none(checkout: Path) -> None:
    pitch = script(checkout, "pitch")
    cents = [0.0, 30.0, 70.0, 1190.0, -2400.0, 1920.0, 700.0]
    found = [np.full(5, value) for value in cents] + [np.zeros(2)]
    row = pitch.summary("set", "yin", found, 0.5)
    assert (row.within_50_cents, row.within_100_cents) == (2 / 8, 3 / 8)
    assert (row.octave_errors, row.twelfths, row.without_pitch) == (2, 1, 1)
    assert (row.frames_within_50_cents, row.median_cents) == (2 / 7, 15.0)
    assert pitch.summary("set", "yin", [], 0.0).within_50_cents == 0.0


def test_pitch_of_tones_is_found(checkout: Path, tmp_path: Path) -> None:
    names = {"a.wav": 57, "b.wav": 64, "noted_wrongly.wav": 52}
    for name, key in zip(names, (57, 64, 64), strict=True):
        f0_hz = 440 * 2 ** ((key - 69) / 12)
        soundfile.write(tmp_path / name, 0.3 * sine(f0_hz, 0.4), 48_000)
    lines = ["file,midi_pitch", *(f"{name},{key}" for name, key in names.items()), "other.wav,"]
    (tmp_path / "SOURCES.csv").write_text("\n".join(lines))
    pitch = script(checkout, "pitch")
    row = pitch.measured("tones", "yin", pitch.notes(tmp_path, 60))
    assert (row.files, row.octave_errors, row.without_pitch) == (3, 1, 0)
    assert row.within_50_cents == pytest.approx(2 / 3)
    assert row.median_cents < 1.0
    assert pitch.table([row]).endswith(f" | {row.cpu_s_per_audio_s:.3f} |")
    assert "| tones, 3 | yin | 67 % | 67 % | 1 | 0 | 0 |" in pitch.table([row])


def test_a_storage_takes_so_many_trials_a_second(checkout: Path) -> None:
    storages = script(checkout, "storages")
    (row,) = storages.rows(["journal"], [3], [2], trials=4, repeats=1)
    assert (row.storage, row.length, row.workers) == ("journal", 3, 2)
    assert 0.05 < row.trials_per_s < 1000.0
    assert 0.0 < row.join_s < 60.0
    assert 1.0 < row.cpu_ms_per_trial < 5000.0


def test_steps_saved_by_pruning_and_what_they_cost(checkout: Path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(checkout / "benchmarks"))
    pruning = script(checkout, "pruning")

    def trial(rate: float, value: float | None, last: int):
        state = optuna.trial.TrialState.PRUNED if value is None else None
        space = {"rate": optuna.distributions.FloatDistribution(0, 1)}
        return optuna.trial.create_trial(
            state=state or optuna.trial.TrialState.COMPLETE,
            value=value,
            params={"rate": rate},
            distributions=space,
            intermediate_values={10: 1.0, last: 1.0},
        )

    without = [trial(0.1, 3.0, 50), trial(0.2, 2.0, 50), trial(0.3, 4.0, 50)]
    pruned = [trial(0.1, 3.0, 50), trial(0.2, None, 30), trial(0.3, None, 10)]
    row = pruning.row_of(7, without, pruned, 60)
    assert (row.steps_without, row.steps_with, row.pruned) == (180, 100, 2)
    assert (row.best_without, row.best_with) == (2.0, 3.0)
    assert row.saving == pytest.approx(80 / 180)
    with pytest.raises(RuntimeError, match="seed 7: the two searches trained other trials"):
        pruning.row_of(7, without, pruned[:2], 60)
    mean, low, high = pruning.interval([0.0, 1.0])
    assert (mean, low, high) == (0.5, 0.0, 1.0)  # a quarter of all draws is each of the ends


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pruning", "workers"])
def test_benchmarks_of_searches_go_on_where_they_were(
    name: str, checkout: Path, recordings: Path, tmp_path: Path
) -> None:
    brief = [t for t in TINY if not t.startswith(("trainer.max", "trainer.val", "logger=", "dev"))]
    words = [*brief, "data=folder", f"data.root={recordings}", "logger.every_validations=1"]
    if name == "pruning":
        words.append("trainer.learning_rate=tag(log,interval(1e-4,1e-2))")
        own = ["--seeds", "1", "--steps", "8", "--validations", "2", "--startup", "1"]
    else:
        own, words = (
            ["--workers", "1", "2"],
            [*words, "trainer.max_time=null", "trainer.max_steps=4"],
        )
    command = [sys.executable, checkout / f"benchmarks/{name}.py", "--trials", "2", *own]
    command += ["--out", tmp_path / "out", *words, "device=cpu"]
    told = [subprocess.run(command, check=True, capture_output=True).stdout for _ in range(2)]
    assert told[0] == told[1]
    found = rows(tmp_path / "out" / f"{name}.csv")
    assert len(found) == (1 if name == "pruning" else 2)
