"""A parsed page, and a run folder with everything a finished and evaluated run holds."""

import json
import shutil
from pathlib import Path

import pytest
import soundfile
import yaml

from report_pages import Page, write_evaluation, write_map
from signals import noise
from timbrel.report.pictures import save_spectrogram_pair
from timbrel.report.run_report import write_run_report


@pytest.fixture
def page():
    return lambda path: Page(Path(path).read_text("utf-8"))


@pytest.fixture(scope="session")
def made_run(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("outputs") / "a run")


@pytest.fixture
def run(made_run, tmp_path) -> Path:
    """A run to change."""
    return Path(shutil.copytree(made_run, tmp_path / "outputs" / "a run"))


@pytest.fixture
def silent_run(run) -> Path:
    """The same without its sounds, whose pictures are half of what a page takes."""
    shutil.rmtree(run / "evaluation" / "audio")
    shutil.rmtree(run / "audio")
    return run


@pytest.fixture(scope="session")
def good_run(made_run, tmp_path_factory) -> Path:
    """A run with its page, not to be changed."""
    folder = Path(shutil.copytree(made_run, tmp_path_factory.mktemp("good") / "a run"))
    write_run_report(folder)
    return folder


@pytest.fixture
def analysed(silent_run) -> Path:
    """The silent run with a map of five sounds that play."""
    write_map(silent_run)
    return silent_run


def write_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    config = {
        "seed": 3,
        "name": "hits_spectral_vae",
        "data": {"name": "hits", "root": "/home/me/hits", "sample_rate_hz": 48_000, "channels": 1},
        "latent": {"weights": {"kl": 1.0}},
        "trainer": {"max_time": "8m", "early_stop_patience": None, "learning_rate": 0.001},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / "overrides.yaml").write_text("- data.root='/home/me/hits'\n- latent=vae\n")
    told = {
        "seed": 3,
        "data_hash": "0123abc",
        "data_notes": [],
        "git_revision": "feed",
        "versions": {"timbrel": "0.1.0"},
        "command": ["timbrel", "data.root='/home/me/hits'", "latent=vae"],
    }
    (folder / "run.json").write_text(json.dumps(told))
    lines = ["step,name,value"]
    for step in range(10, 1001, 10):
        share = step / 1000
        lines.append(f"{step},train/loss,{5 - 3 * share}")
        lines.append(f"{step},train/stft_log,{3 - 2 * share}")
        lines.append(f"{step},train/gradient_norm,{1 + share}")
        lines.append(f"{step},train/learning_rate,{0.001 * (1.001 - share)}")
        if step % 100 == 0:
            lines.append(f"{step},validation/loss,{5 - 2.5 * share}")
            lines.append(f"{step},validation/nats_per_frame,{30 - share}")
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    (folder / "model").mkdir()
    card = {
        "name": "hits_spectral_vae",
        "model_hash": "beef",
        "trained_on": {"duration_s": 28.2, "files": 35, "names": ["hits"]},
    }
    (folder / "model" / "card.json").write_text(json.dumps(card))
    audio, validation = noise(0.2)[None], folder / "audio" / "validation"
    for step in (100, 500, 600, 1000):
        png = validation / f"step_{step:06d}" / "hit.png"
        if step == 100:
            save_spectrogram_pair(png, audio, audio, rate_hz=48_000, title="hit")
        else:
            shutil.copytree(validation / "step_000100", png.parent)
        soundfile.write(png.with_suffix(".wav"), audio.T, 48_000)
    write_evaluation(folder)
    return folder
