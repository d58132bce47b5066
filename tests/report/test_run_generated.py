"""The page's section on invented sounds: numbers with their n, and the nearest pair to hear."""

import json

import numpy as np
import pytest
import soundfile

from report_pages import write_csv
from signals import noise
from timbrel.errors import UserError
from timbrel.report.run_generated import invented
from timbrel.report.run_report import write_run_report
from timbrel.runs.folder import read_run

HEARD = ("seed_3", "seed_3_nearest", "seed_4", "seed_4_nearest")


@pytest.fixture
def evaluated(run):
    folder = run / "evaluation"
    values = {"kad": (4.25, 32), "kad_held_out": (-1.5, 9), "density": (0.75, 32)}
    values |= {"smoothness": (0.9, 4), "nearest_training_median_db_held_out": (4.4, 9)}
    values |= {"time_structure": (51.5, 32), "time_structure_by_chance": (7.5, 32)}
    values |= {"endings": (0.25, 32), "endings_reconstructed": (0.75, 32)}
    write_csv(
        folder / "generated.csv",
        [
            {"measure": name, "value": value, "n": n, "n_reference": 54, "embedding": "aisfx"}
            for name, (value, n) in values.items()
        ],
    )
    write_csv(
        folder / "generated_clips.csv",
        [
            {
                "seed": seed,
                "training_file": f"sub/kick {seed}.wav",
                "training_start_s": 0.25 * seed,
                "distance_db": abs(seed - 5) + 2.5,
                "made_of": "kick 3.wav 60 %; kick 9.wav 40 %" if seed == 4 else "",
            }
            for seed in range(3, 9)
        ],
    )
    (folder / "audio" / "generated").mkdir(parents=True)
    for i, name in enumerate(("generated", "training", *HEARD)):
        path = folder / "audio" / "generated" / f"{name}.wav"
        soundfile.write(path, noise(0.2, seed=i), 48_000, subtype="FLOAT")
    return run


def test_numbers_stand_beside_what_to_compare_them_with_and_a_pair_plays(evaluated, page):
    shown = page(write_run_report(evaluated))
    assert "What it invents" in shown.words
    assert (
        "kernel distance to training clips 4.25 (n = 32) \N{MINUS SIGN}1.50 (n = 9) "
        "held-out recordings" in shown.words
    )
    assert "density around training clips 0.750 (n = 32) 1: a perfect model" in shown.words
    assert "6 sounds drawn from the prior (seeds 3 to 8)" in shown.words
    assert "at equal level; the first two rows use aiSFX" in shown.words
    assert "Fréchet distance" not in shown.words  # not measured: no row
    # And the nearest pair is there to hear.
    assert (
        "seed 5 is the nearest to a training clip, 'sub/kick 5.wav' at 1.25 s: 2.50" in shown.words
    )
    assert f"timbrel generate 'model={evaluated}' seed=5" in shown.words
    for i, name in enumerate(("generated", "training")):
        audio, rate_hz = shown.players[f"nearest pair, {name}"]
        assert rate_hz == 48_000
        assert np.abs(audio[:, 0] / 32768 - noise(0.2, seed=i)).max() <= 0.5001 / 32768


def test_a_dozen_plays_each_beside_its_nearest_recording(evaluated, page):
    """Of six sounds two have their files: the others stay out."""
    shown = page(write_run_report(evaluated))
    for i, label in enumerate(("new sound of seed {}", "nearest to seed {}")):
        for j, seed in enumerate((3, 4)):
            audio, _ = shown.players[label.format(seed)]
            assert np.abs(audio[:, 0] / 32768 - noise(0.2, seed=2 + 2 * j + i)).max() < 1e-4
    assert "new sound of seed 5" not in shown.players
    assert "The first 2 of 6 sounds drawn from the prior" in shown.words
    assert "not trained on are 4.40 dB away from theirs" in shown.words
    assert "nearest: 'sub/kick 4.wav' at 1.00 s, 3.50 dB away" in shown.words
    assert shown.words.count("made of kick 3.wav 60 %; kick 9.wav 40 %") == 1
    # And what is heard in time is told beside what it is compared with.
    assert "time distance to reconstructions 51.5 (n = 32) 7.50 (n = 32) chance" in shown.words
    assert "share that has ended 0.250 (n = 32) 0.750 (n = 32) reconstructions" in shown.words


@pytest.mark.parametrize(
    ("files", "said"),
    [(5, "the 5 recordings"), (1, "the one recording"), (None, "the recordings")],
)
def test_what_few_recordings_do_not_hold_is_said_not_to_be_invented(evaluated, page, files, said):
    path = evaluated / "model" / "card.json"
    card = json.loads(path.read_text("utf-8"))
    card["trained_on"] = None if files is None else card["trained_on"] | {"files": files}
    path.write_text(json.dumps(card))
    expected = (
        f"New sounds are made of {said} that it was trained on: what these do not hold is not"
    )
    assert f"{expected} invented." in page(write_run_report(evaluated)).words


def test_without_generated_sounds_the_page_says_how_to_get_them(silent_run, page):
    assert invented(read_run(silent_run)) is None
    assert "No generated sounds have been scored yet" in page(write_run_report(silent_run)).words


def test_missing_audio_leaves_the_numbers_and_damage_is_told(evaluated):
    generated = evaluated / "evaluation" / "audio" / "generated"
    (generated / "training.wav").write_bytes(b"RIFF nothing")
    with pytest.raises(UserError, match=r"training\.wav.*run timbrel evaluate again"):
        invented(read_run(evaluated))
    (generated / "training.wav").unlink()
    told = invented(read_run(evaluated))
    assert (told.pair, len(told.rows), len(told.dozen)) == ((), 5, 2)
    (generated / "seed_4.wav").write_bytes(b"RIFF nothing")
    with pytest.raises(UserError, match=r"seed_4\.wav.*run timbrel evaluate again"):
        invented(read_run(evaluated))
    for path in generated.glob("seed_*"):
        path.unlink()
    assert invented(read_run(evaluated)).dozen == ()
