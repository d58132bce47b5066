"""The page of a run shows its files' values, and warns only where it should."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from report_pages import write_csv, write_evaluation
from timbrel.errors import UserError
from timbrel.report.run_listening import spread
from timbrel.report.run_report import config_sections, write_run_report
from timbrel.report.run_warnings import warnings_of
from timbrel.runs.folder import read_run


def told(run) -> str:
    return " ".join(f"{notice.heading} {notice.text}" for notice in warnings_of(read_run(run)))


def test_a_good_run_needs_no_warning(good_run, page):
    run = good_run
    shown = page(run / "report.html")
    assert told(run) == ""
    assert "Read this first" not in shown.words
    for heading in ("What this is", "Scores", "Listening", "Training curves", "Settings"):
        assert heading in shown.words
    assert [file.name for file in run.iterdir() if file.name.startswith(".")] == []


def test_the_numbers_are_those_of_the_tables(good_run, page):
    words = page(good_run / "report.html").words
    # Six files from 1.0 to 1.5, +-0.1; the noise control scores 1.5 more, silence 2.
    assert "MR-STFT of 1.25 (95 % interval 1.15\N{EN DASH}1.35)" in words
    assert "Silence scores 3.25, noise of the same spectrum 2.75." in words
    assert "55 % of the way" in words  # 1 - 1.25 / 2.75
    assert "On 6 test recordings" in words
    assert "learned from 35 recordings (28.2 s in all) in 1,000 steps" in words


def test_players_hold_the_files_best_first(good_run, page):
    shown = page(good_run / "report.html")
    words = shown.words
    assert (
        words.index("hit 0.wav best of 6") < words.index("median of 6") < words.index("worst of 6")
    )
    for i in range(6):
        for kind in ("reference", "reconstruction"):
            name = "original" if kind == "reference" else kind
            audio, rate_hz = shown.players[f"hit {i}.wav, {name}"]
            path = good_run / "evaluation" / "audio" / "test" / kind / f"{i:03d}_hit {i}.wav"
            expected, _ = soundfile.read(path, always_2d=True)
            assert rate_hz == 48_000
            assert np.abs(audio / 32768 - expected).max() <= 0.5001 / 32768


def test_development_shows_first_middle_and_last(good_run, page):
    words = page(good_run / "report.html").words
    assert all(f"step {step} " in words for step in (100, 500, 1000))
    assert "step 600 " not in words


def test_changed_keys_are_marked(good_run, page):
    html = page(good_run / "report.html").html
    assert "<mark>data.root</mark>" in html
    assert "<mark>latent.weights.kl</mark>" in html
    assert "<mark>seed</mark>" not in html


def test_overrides_change_a_key_or_a_section():
    config = {"seed": 1, "latent": {"kl": 1}, "trainer": {"max_time": None, "max_steps": 3}}
    sections = config_sections(config, ("latent=vae", "trainer.max_steps=3"))
    changed = [s.key for section in sections for s in section.settings if s.changed]
    assert changed == ["latent.kl", "trainer.max_steps"]
    assert [section.name for section in sections] == ["general", "latent", "trainer"]


def test_a_failed_gate_comes_first_with_its_numbers(silent_run, page):
    rows = [
        {"gate": "rate", "value": "", "limit": 3000, "passed": "unknown", "meaning": "Unclear."},
        {"gate": "level", "value": 2.4, "limit": 1, "passed": "no", "meaning": "Too <b>quiet</b>."},
    ]
    write_csv(silent_run / "evaluation" / "gates.csv", rows)
    shown = page(write_run_report(silent_run))
    assert "Gate failed: level. Measured 2.40, limit 1.00. Too <b>quiet</b>." in shown.words
    assert shown.words.index("Gate failed: level") < shown.words.index(
        "Gate could not be checked: rate"
    )
    assert "&lt;b&gt;quiet" in shown.html


def test_few_test_files_are_told(run):
    shutil.rmtree(run / "evaluation")
    write_evaluation(run, ["one.wav", "two.wav"])
    assert "All scores are from 2 files" in told(run)


def test_validation_stands_in_for_test(run, page):
    shutil.rmtree(run / "evaluation")
    write_evaluation(run, part="validation")
    words = page(write_run_report(run)).words
    assert "No test files." in words
    assert "On 6 validation recordings that it did not learn from" in words


def test_overfitting_and_an_early_end_are_told(run):
    path = run / "metrics.csv"
    lines = path.read_text().splitlines()
    lines += ["1100,validation/loss,3.75", "1100,train/learning_rate,0.0006"]
    path.write_text("\n".join(lines) + "\n")
    words = told(run)
    assert "lowest at step 1000 (2.50) and rose by 50 % until step 1100 (3.75)" in words
    assert "was at 61 % of its peak" in words  # 0.0006 of 0.001 * (1.001 - 0.01)


def test_clipped_reconstructions_are_told(run):
    path = run / "evaluation" / "audio" / "test" / "reconstruction" / "002_hit 2.wav"
    soundfile.write(path, np.full(4800, 2.0, np.float32), 48_000, subtype="FLOAT")
    words = told(run)
    assert "1 reconstruction peaks above full scale (the highest: 002_hit 2, +6.0 dBFS)" in words


def test_data_notes_are_told(run):
    record = json.loads((run / "run.json").read_text()) | {"data_notes": ["Only 3 <files>."]}
    (run / "run.json").write_text(json.dumps(record))
    assert "About the data. Only 3 <files>." in told(run)


def test_a_run_without_evaluation_says_how_to_get_it(run, page):
    shutil.rmtree(run / "evaluation")
    words = page(write_run_report(run)).words
    assert "Not evaluated yet." in words
    assert f"timbrel evaluate 'run={run}'" in words
    assert "The model has not been scored yet." in words


def test_an_unfinished_run_has_a_page(run, page):
    for name in ("evaluation", "model", "audio"):
        shutil.rmtree(run / name)
    (run / "metrics.csv").write_text("step,name,value\n10,train/loss,nan\n")
    (run / "run.json").unlink()
    words = page(write_run_report(run)).words
    assert f"Resume it with: timbrel train 'run={run}'" in words
    assert "There are no curves yet" in words
    assert "Generate a sound" not in words


def test_names_are_escaped(run, page):
    shutil.rmtree(run / "evaluation")
    names = [
        "<img src=x onerror=alert(1)>.wav",
        "caf\udce9.wav",
        'quote".wav',
        "a&b.wav",
        "$x$.wav",
    ]
    write_evaluation(run, [name.encode("utf-8", "replace").decode() for name in names])
    shown = page(write_run_report(run))
    assert "<img src=x onerror=alert(1)>.wav" in shown.words
    assert "<img src=x" not in shown.html


def test_long_files_are_cut_and_it_is_told(run, page):
    folder = run / "evaluation" / "audio" / "test"
    for kind in ("reference", "reconstruction"):
        path = folder / kind / "000_hit 0.wav"
        soundfile.write(path, np.zeros(48_000 * 12, np.float32), 48_000, subtype="FLOAT")
    shown = page(write_run_report(run))
    assert "hold the first 10.0 s of longer files" in shown.words
    assert "12.0 s (first 10.0 s)" in shown.words
    assert len(shown.players["hit 0.wav, original"][0]) == 480_000


@pytest.mark.parametrize("count", [1, 2, 8, 9, 30])
def test_the_spread_has_ends_and_median(count):
    ranks = spread(count, 8)
    assert len(ranks) == min(count, 8)
    assert {0, count - 1, (count - 1) // 2} <= set(ranks)


def test_no_run_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="no run folder"):
        write_run_report(tmp_path)


def test_the_same_run_gives_the_same_page(good_run):
    first = (good_run / "report.html").read_bytes()
    assert write_run_report(good_run) == good_run / "report.html"
    assert (good_run / "report.html").read_bytes() == first
