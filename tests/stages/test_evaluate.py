"""`timbrel evaluate` from the outside: a tiny training, scored; what it refuses and says."""

import csv
import importlib.util
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from signals import noise, sine
from stages.training_jobs import FAST, TINY, lean, only_run
from timbrel.analysis.generation_gates import GATES as GENERATION_GATES
from timbrel.config.limits import LIMITS
from timbrel.config.slider_limits import SLIDER_LIMITS
from timbrel.metrics.scores import SCORES
from timbrel.report.run_report import write_run_report
from timbrel.runs.folder import read_evaluation, read_run
from timbrel.runs.summary import choice, elapsed_s
from timbrel.stages import evaluate, train, training_run

SHORT = [text for text in TINY if not text.startswith("trainer.max_steps")]
PARITY = ("front_end_parity", "latent_parity")
SCORED = (*FAST, "evaluate.parts=[test]", "evaluate.generated_clips=0")
INVENTED = tuple(GENERATION_GATES)


def table(run: Path, name: str) -> list[dict[str, str]]:
    with (run / "evaluation" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def gates(run: Path) -> dict[str, dict[str, str]]:
    return {row["gate"]: row for row in table(run, "gates")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ten recordings of its own in `kicks/`, and a run on them."""
    folder = tmp_path_factory.mktemp("evaluate")
    (folder / "kicks").mkdir()
    for i in range(10):
        hit = sine(80.0 * (i + 1), 0.4) + 0.2 * noise(0.4, seed=i)
        hit *= np.linspace(1, 0, len(hit), dtype=np.float32) ** 2
        rate_hz = 44_100 if i % 2 else 48_000  # half of them are resampled
        soundfile.write(folder / "kicks" / f"hit {i}.wav", hit, rate_hz, subtype="PCM_24")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        lean(monkeypatch)
        shares = ("data.validation_fraction=0.2", "data.test_fraction=0.3")
        root = f"data.root={folder / 'kicks'}"
        assert train.main([root, *SHORT, *shares, "trainer.max_steps=8"]) == 0
    return folder


@pytest.fixture(autouse=True)
def _lean(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    lean(monkeypatch, page="report" in request.node.name)


@pytest.fixture
def copied(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, to be changed; the run still names the first one's recordings."""
    shutil.copytree(trained, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def test_training_leaves_the_test_part_scored(trained: Path) -> None:
    run = only_run(trained)
    rows = table(run, "files")
    assert {row["part"] for row in rows} == {"test"}
    assert [row["system"] for row in rows[:3]] == ["model", "silence", "noise"]
    assert not (run / "audio" / "test").exists()
    without_limit = {"latent_parity", "better_than_silence", "better_than_noise"}
    of_an_analysis = set(SLIDER_LIMITS)
    assert set(gates(run)) == {*LIMITS, *without_limit} - of_an_analysis


def test_a_run_knows_the_options_and_the_time_it_took(trained: Path) -> None:
    run = read_run(only_run(trained))
    assert run.provenance["choices"] == {
        "data": "folder",
        "architecture": "spectral_small",
        "latent": "vae",
        "augmentation": "varispeed",
        "loss": "spectral",
    }
    assert choice(run, "loss") == "spectral"
    assert 0 < elapsed_s(run) < 60


def test_evaluate_scores_every_part(copied: Path, capsys) -> None:
    run = only_run(copied)
    assert evaluate.main([f"run={run}", *FAST]) == 0
    rows = table(run, "files")
    count = {p: sum(r["part"] == p and r["system"] == "model" for r in rows) for p in parts_of(run)}
    assert sum(count.values()) == 10
    assert {row["part"] for row in rows if row["system"] == "noise"} == {"test"}
    assert list(rows[0]) == ["part", "file", "system", "seconds", *SCORES, "nats_per_second"]
    assert all(row["nats_per_second"] == "" for row in rows if row["system"] != "model")
    for row in table(run, "summary"):
        assert int(row["files"]) == count[row["part"]]
        if int(row["files"]) > 1:
            assert float(row["low"]) <= float(row["mean"]) <= float(row["high"])
    for kind in ("reference", "reconstruction"):
        files = sorted((run / "evaluation" / "audio" / "test" / kind).iterdir())
        assert len(files) == count["test"]
        assert files[0].name.startswith("000_hit ")
        assert soundfile.info(files[0]).subtype == "FLOAT"
    printed = capsys.readouterr().out
    for words in ("validation", "silence", "noise", "1,500 latent values per second", "kl_floor"):
        assert words in printed
    assert read_evaluation(run / "evaluation").summary


def parts_of(run: Path) -> set[str]:
    return {row["part"] for row in table(run, "files")}


def test_scores_are_those_of_the_written_audio_by_the_judge(copied: Path, shared: Path) -> None:
    script = shared / "tools" / "eval_recon.py"
    if not script.exists():
        pytest.skip("no judge's script beside the real recordings")
    spec = importlib.util.spec_from_file_location("eval_recon", script)
    judge = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(judge)
    run = only_run(copied)
    audio = run / "evaluation" / "audio" / "test"
    rows = [row for row in table(run, "files") if row["system"] == "model"]
    for row, path in zip(rows, sorted((audio / "reference").iterdir()), strict=True):
        reconstruction = judge.load(str(audio / "reconstruction" / path.name))
        theirs = judge.score(judge.load(str(path)), reconstruction)
        assert Path(row["file"]).stem in path.name
        for ours, name in (
            ("mrstft", "mrstft"),
            ("log_mel_l1", "logmel_l1"),
            ("si_sdr_db", "si_sdr"),
        ):
            assert float(row[ours]) == pytest.approx(float(theirs[name]), abs=1e-4)


def test_what_the_model_invents_is_measured(copied: Path, capsys) -> None:
    """By training already: gates, distances with their n, and sounds to hear. Every file is a hit:
    4 to train on, and 6 held out."""
    run = only_run(copied)
    assert set(INVENTED) <= set(gates(run))
    chosen = (f"run={run}", *FAST, "evaluate.parts=[test]", "limits.interpolation=1e-9")
    assert evaluate.main([*chosen, "evaluate.generated_clips=9"]) == 0
    rows = gates(run)
    assert rows["interpolation"]["passed"] == "yes"
    assert "9 generated, 4 training clips" in rows["memorisation"]["meaning"]
    for name in ("coverage", "diversity", "time_structure", "two_sample", "endings", "rebound"):
        assert rows[name]["passed"] == "unknown"
        assert "4 of training (8 are needed)" in rows[name]["meaning"]
    measures = {row["measure"]: row for row in table(run, "generated")}
    assert (measures["kad"]["n"], measures["kad"]["n_reference"]) == ("9", "4")
    assert measures["kad_held_out"]["n"] == "6"
    clips = table(run, "generated_clips")
    assert [row["seed"] for row in clips] == [str(seed) for seed in range(9)]
    assert {Path(row["training_file"]).suffix for row in clips} == {".wav"}
    audio = run / "evaluation" / "audio" / "generated"
    named = {f"seed_{seed}{beside}.wav" for seed in range(9) for beside in ("", "_nearest")}
    assert {path.name for path in audio.iterdir()} == {"generated.wav", "training.wav", *named}
    lengths = {soundfile.info(audio / f"seed_{seed}.wav").frames for seed in range(9)}
    assert len(lengths) == 1  # the median recording's: this prior knows no end
    assert lengths.pop() > 8192
    assert "(n = 9 against 4)" in " ".join(capsys.readouterr().out.split())
    assert evaluate.main([*chosen, "evaluate.generated_clips=0"]) == 0
    assert not set(INVENTED) & set(gates(run))
    assert not (run / "evaluation" / "generated.csv").exists()


def test_a_second_judge_of_pitch_is_asked_for_by_name(copied: Path, capsys, monkeypatch) -> None:
    chosen = (f"run={only_run(copied)}", *FAST, "evaluate.parts=[test]")
    chosen += ("evaluate.second_pitch=swift_f0",)
    if importlib.util.find_spec("swift_f0"):
        assert evaluate.main([*chosen]) == 0
    monkeypatch.setitem(sys.modules, "swift_f0", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    capsys.readouterr()
    assert evaluate.main([*chosen]) == 2
    assert "pip install 'timbrel[swiftf0]', or take none" in capsys.readouterr().err


def test_sets_of_sounds_by_a_network(copied: Path, capsys, monkeypatch) -> None:
    run = only_run(copied)
    chosen = (f"run={run}", *FAST, "evaluate.parts=[test]", "evaluate.embedding=aisfx")
    if importlib.util.find_spec("aisfx"):
        assert evaluate.main([*chosen]) == 0
        assert "Generated sounds, by aisfx: kernel distance" in capsys.readouterr().out
        assert {row["embedding"] for row in table(run, "generated")} == {"aisfx", "log_mel"}
    before = (run / "evaluation" / "generated.csv").read_text()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert evaluate.main([*chosen]) == 2
    assert "pip install --no-deps aisfx==0.1.2, or take log_mel" in capsys.readouterr().err
    assert (run / "evaluation" / "generated.csv").read_text() == before


def test_front_ends_agree_and_silence_scores_as_silence(trained: Path) -> None:
    run = only_run(trained)
    for name in PARITY:
        assert gates(run)[name]["passed"] == "yes"
    assert float(gates(run)["front_end_parity"]["value"]) <= 1e-6
    silence = [row for row in table(run, "files") if row["system"] == "silence"]
    assert {float(row["si_sdr_db"]) for row in silence} == {-120.0}
    assert gates(run)["better_than_silence"]["limit"] == gates_mean(run, "silence")


def gates_mean(run: Path, system: str) -> str:
    (mean,) = [
        row["mean"]
        for row in table(run, "summary")
        if (row["part"], row["system"], row["metric"]) == ("test", system, "log_mel_l1")
    ]
    return mean


def test_strict_makes_a_failed_gate_the_exit_status(copied: Path, capsys) -> None:
    run = only_run(copied)
    hopeless = [f"run={run}", *SCORED, "limits.kl_floor_nats=1e9"]
    assert evaluate.main(hopeless) == 0
    assert gates(run)["kl_floor"]["passed"] == "no"
    assert "collapsed" in gates(run)["kl_floor"]["meaning"]
    capsys.readouterr()
    assert evaluate.main([*hopeless, "evaluate.strict=true"]) == 1
    assert "failed: kl_floor" in capsys.readouterr().err
    generous = ["limits.kl_floor_nats=1e-9", "limits.held_out_ratio=1e9"]
    status = evaluate.main([*hopeless[:-1], *generous, "evaluate.strict=true"])
    failed = [row["gate"] for row in table(run, "gates") if row["passed"] == "no"]
    assert status == (1 if failed else 0)
    assert not {"kl_floor", "held_out_loss", *PARITY} & set(failed)


def test_the_same_seed_is_the_same_evaluation(copied: Path) -> None:
    run = only_run(copied)
    written = []
    for seed in (3, 3, 4):  # scores are the file's own, the noise and the draws the seed's
        assert evaluate.main([f"run={run}", *SCORED, f"seed={seed}"]) == 0
        written.append((run / "evaluation" / "files.csv").read_text())
        written.append((run / "evaluation" / "summary.csv").read_text())
    assert written[:2] == written[2:4]
    assert written[2] != written[4]
    noiseless = [[r for r in text.splitlines() if ",noise," not in r] for text in written[::2]]
    assert noiseless[0] == noiseless[2]


def test_moved_recordings_are_found_where_data_root_says(
    copied: Path, trained: Path, capsys
) -> None:
    run = only_run(copied)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace(str(trained / "kicks"), str(copied / "gone")))
    assert evaluate.main([f"run={run}", *FAST]) == 2
    message = capsys.readouterr().err
    assert str(copied / "gone") in message
    assert "data_root=FOLDER" in message
    (copied / "kicks").rename(copied / "moved")
    assert evaluate.main([f"run={run}", *SCORED, f"data_root={copied / 'moved'}"]) == 0
    assert gates(run)["front_end_parity"]["passed"] == "yes"
    assert evaluate.main([f"run={run}", *FAST, "data_root=nowhere"]) == 2
    assert "data_root=nowhere: no such folder" in capsys.readouterr().err


def test_changed_recordings_are_refused(copied: Path, capsys) -> None:
    run = only_run(copied)
    before = (run / "evaluation" / "files.csv").read_text()
    soundfile.write(copied / "kicks" / "hit 3.wav", noise(0.5, seed=99), 48_000)
    assert evaluate.main([f"run={run}", *FAST, f"data_root={copied / 'kicks'}"]) == 2
    assert "recordings or their split have changed" in capsys.readouterr().err
    assert (run / "evaluation" / "files.csv").read_text() == before


def test_an_interrupted_run_is_told_how_to_go_on(copied: Path, capsys) -> None:
    run = only_run(copied)
    shutil.rmtree(run / "model")
    assert evaluate.main([f"run={run}", *FAST]) == 2
    message = capsys.readouterr().err
    assert "interrupted" in message
    assert f"timbrel train run={run}" in message


def test_what_is_no_run_is_refused(copied: Path, capsys) -> None:
    run = only_run(copied)
    for given, words in (
        (copied, "not a run folder"),
        (run / "model", "a model bundle"),
    ):
        assert evaluate.main([f"run={given}", *FAST]) == 2
        assert words in capsys.readouterr().err


def test_pieces_of_few_files_are_told_apart(tmp_path: Path, monkeypatch, capsys) -> None:
    """Two recordings: validation and test are ends of both."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "long").mkdir()
    for i in range(2):
        soundfile.write(tmp_path / "long" / f"{i}.wav", noise(1.0, seed=i), 48_000)
    assert train.main([f"data.root={tmp_path / 'long'}", *SHORT, "trainer.max_steps=2"]) == 0
    run = only_run(tmp_path)
    assert evaluate.main([f"run={run}", *FAST]) == 0
    names = [row["file"] for row in table(run, "files") if row["system"] == "model"]
    assert len(names) == len(set(names)) == 6
    assert all(name.startswith(("0.wav [", "1.wav [")) for name in names)
    assert len(list((run / "evaluation/audio/test/reference").iterdir())) == 2
    assert float(gates(run)["front_end_parity"]["value"]) <= 1e-6
    assert gates(run)["latent_parity"]["passed"] == "yes"
    page = write_run_report(run).read_text()
    assert all(name in page for name in names)


def test_a_run_without_held_out_files_says_so(
    recordings: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    shares = ("data.validation_fraction=0", "data.test_fraction=0")
    assert train.main([f"data.root={recordings}", *SHORT, *shares, "trainer.max_steps=2"]) == 0
    assert "no held-out files" in capsys.readouterr().out
    run = only_run(tmp_path)
    strict = ("evaluate.strict=true", "evaluate.generated_clips=0")
    assert evaluate.main([f"run={run}", *FAST, *strict]) == 0
    verdicts = {name: row["passed"] for name, row in gates(run).items()}
    assert [verdicts.pop(name) for name in PARITY] == ["yes", "yes"]  # of training files
    assert set(verdicts.values()) == {"unknown"}
    assert {row["part"] for row in table(run, "files")} == {"train"}


def test_recordings_that_went_while_it_trained_do_not_cost_the_training(
    recordings: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    """Training reads the cache; a drive may be unplugged before it ends."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(recordings, tmp_path / "drive")
    fit = training_run.fit

    def unplugged(*arguments, **named):
        fitted = fit(*arguments, **named)
        shutil.rmtree(tmp_path / "drive")
        return fitted

    monkeypatch.setattr(training_run, "fit", unplugged)
    assert train.main([f"data.root={tmp_path / 'drive'}", *SHORT, "trainer.max_steps=2"]) == 0
    run = only_run(tmp_path)
    assert (run / "model" / "card.json").is_file()
    assert gates(run)["front_end_parity"]["passed"] == "unknown"
    assert math.isfinite(float(table(run, "files")[0]["mrstft"]))


def test_evaluate_ends_naming_the_report(copied: Path, capsys) -> None:
    run = only_run(copied)
    (run / "report.html").unlink(missing_ok=True)
    assert evaluate.main([f"run={run}", *FAST, "evaluate.parts=[test]"]) == 0
    assert capsys.readouterr().out.rstrip().endswith(f"report: {run / 'report.html'}")
    assert "MR-STFT" in (run / "report.html").read_text()


def test_a_report_that_fails_does_not_cost_the_training(
    recordings: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    from timbrel.report import run_report

    def broken(folder: Path, output: Path | None = None) -> Path:
        raise RuntimeError("no ink")

    monkeypatch.setattr(run_report, "write_run_report", broken)
    assert train.main([f"data.root={recordings}", *SHORT, "trainer.max_steps=2"]) == 0
    shown = capsys.readouterr()
    assert "no report: RuntimeError: no ink" in shown.err
    assert shown.out.rstrip().endswith("model")
