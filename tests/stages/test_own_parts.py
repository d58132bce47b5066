"""Parts of the user's own module: trained, resumed, scored and played, as every other part is."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import timbrel
from stages.training_jobs import FAST, TINY, lean, only_run
from timbrel.commands import library
from timbrel.errors import UserError
from timbrel.stages import evaluate, generate, train
from timbrel.sweeps import signature

MODULE = '''
"""A whole architecture, a penalty, a loss and a transform that timbrel does not have."""

from pathlib import Path

import torch
from torch import nn

from timbrel.data.augmentation.change import Changed
from timbrel.models.autoencoder import Autoencoder

Path(__file__).with_name("witness").touch()
HOP = 128


class Encoder(nn.Module):
    hop_samples = HOP
    context_frames = 0

    def __init__(self, channels, width):
        super().__init__()
        self.project = nn.Linear(HOP * channels, width)

    def forward(self, audio):
        return self.project(audio.unfold(-1, HOP, HOP).transpose(1, 2).flatten(2))


class Decoder(nn.Module):
    hop_samples = HOP
    context_frames = 0

    def __init__(self, channels, latent_dim):
        super().__init__()
        self.channels = channels
        self.project = nn.Linear(latent_dim, HOP * channels)

    def forward(self, latent):
        frames = self.project(latent.frames.transpose(1, 2)).unflatten(2, (self.channels, HOP))
        return frames.transpose(1, 2).flatten(2)


def build(sample_rate_hz, channels, latent_dim, clip_dim, width, posterior):
    return Autoencoder(
        sample_rate_hz=sample_rate_hz, channels=channels, latent_dim=latent_dim,
        clip_dim=clip_dim, encoder=Encoder(channels, width), posterior=posterior,
        decoder=Decoder(channels, latent_dim),
    )


def dull(**settings):
    return nn.Linear(1, 1)


def changing(width, **settings):
    changing.calls += 1
    return build(width=width + changing.calls, **settings)


changing.calls = 0


class Smooth(nn.Module):
    def forward(self, posterior, latent, batch, step, rng):
        return {"steps": latent.frames.diff(dim=2).square().mean((1, 2))}


class Loss(nn.Module):
    def forward(self, estimate, target):
        return {"samples": (estimate - target).square().mean((1, 2))}


class Fade:
    heavy = True
    max_speed = 1.0

    def __init__(self, probability=1.0):
        self.probability = probability

    def __call__(self, audio, rate_hz, rng):
        return Changed(audio * torch.linspace(1, 0.5, audio.shape[1]).numpy())
'''

CONF = {
    "architecture/mine.yaml": """
_target_: mine.build
sample_rate_hz: ${data.sample_rate_hz}
channels: ${data.channels}
latent_dim: 4
clip_dim: 0
width: 16
posterior: ${latent.posterior}
""",
    "latent/smooth.yaml": """
posterior:
  _target_: timbrel.models.posteriors.GaussianPosterior
  width: ${architecture.width}
  latent_dim: ${architecture.latent_dim}
  clip_dim: ${architecture.clip_dim}
dropout: 0.0
penalty: {_target_: mine.Smooth}
weights: {steps: 0.1}
""",
    "loss/samples.yaml": """
reconstruction: {_target_: mine.Loss}
weights: {samples: 1.0}
""",
    "augmentation/fade.yaml": """
defaults: [none]
transforms: {fade: {_target_: mine.Fade}}
""",
}

OWN = (
    "architecture=mine",
    "latent=smooth",
    "loss=samples",
    "augmentation=fade",
    "augmentation.expansion=1",
    *(text for text in TINY if not text.startswith(("architecture", "loss", "trainer.max_steps"))),
    "trainer.max_steps=3",
)


def write_parts(folder: Path) -> None:
    (folder / "mine.py").write_text(MODULE)
    for name, text in CONF.items():
        path = folder / "conf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def work_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in `folder`, where `mine` is found as the command line finds it."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    lean(monkeypatch)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, recordings: Path) -> Path:
    """A working folder with own parts of every kind, and a run of three steps by them."""
    folder = tmp_path_factory.mktemp("own")
    write_parts(folder)
    with pytest.MonkeyPatch.context() as training:
        work_in(folder, training)
        assert train.main([f"data.root={recordings}", *OWN]) == 0
    sys.modules.pop("mine")
    return folder


@pytest.fixture
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder to work in."""
    folder = tmp_path / "here"
    shutil.copytree(trained, folder)
    work_in(folder, monkeypatch)
    (folder / "witness").unlink()
    return folder


def test_the_card_names_the_parts(trained: Path) -> None:
    model = only_run(trained) / "model"
    card = json.loads((model / "card.json").read_text())
    assert card["foreign"] == ["mine.build"]
    assert json.loads((model / "frontend.json").read_text()) == {
        "sample_rate_hz": 48_000, "channels": 1, "downmix": "mean",
        "normalisation": "none", "conditions": [],
    }  # fmt: skip


def test_the_screen_of_a_run_names_them(here: Path, capsys) -> None:
    assert library.main(["show", str(only_run(here))]) == 0
    assert "mine.build (opens with trust=true)" in capsys.readouterr().out


def test_without_trust_no_code_of_it_runs(here: Path, capsys) -> None:
    run = only_run(here)
    assert generate.main([f"model={run}", "output=a.wav"]) == 2
    told = capsys.readouterr().err
    assert "names 'mine.build'" in told
    assert "trust=true" in told
    with pytest.raises(UserError, match=r"'mine\.build'"):
        timbrel.load(run / "model")
    assert not (here / "witness").exists()
    assert "mine" not in sys.modules


def test_with_trust_it_plays_and_from_python_the_same(here: Path) -> None:
    run = only_run(here)
    words = ["generate", f"model={run}", "trust=true", "seconds=0.2", "output=a.wav"]
    fresh = [sys.executable, "-m", "timbrel", *words]  # as a person starts it in this folder
    done = subprocess.run(fresh, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    sound = timbrel.load(run, trust=True).render(source="prior", seconds=0.2)
    sound.save("b.wav")
    assert Path("a.wav").read_bytes() == Path("b.wav").read_bytes()
    source = ["source=file", f"input={here / 'a.wav'}", "output=c.wav"]
    assert generate.main([f"model={run}", "trust=true", *source]) == 0


def test_a_module_that_is_not_found_is_named(here: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:-1])
    with pytest.raises(UserError, match=r"mine\.build: no such module; put mine\.py where"):
        timbrel.load(only_run(here), trust=True)


def test_it_resumes_and_is_evaluated(here: Path) -> None:
    run = only_run(here)
    before = (run / "model" / "weights.safetensors").read_bytes()
    shutil.rmtree(run / "model")
    assert train.main([f"run={run}", "trust=true"]) == 0
    assert (run / "model" / "weights.safetensors").read_bytes() == before
    shutil.rmtree(run / "evaluation")
    assert evaluate.main([f"run={run}", *FAST]) == 0
    assert (run / "evaluation" / "summary.csv").is_file()


def test_going_on_with_a_strangers_run_asks_first(here: Path, capsys) -> None:
    run = only_run(here)
    (here / "witness").unlink(missing_ok=True)
    sys.modules.pop("mine", None)
    assert train.main([f"run={run}"]) == 2
    told = capsys.readouterr().err
    assert "names 'mine.build'" in told
    assert "give trust=true" in told
    assert not (here / "witness").exists()


def test_a_training_starts_from_it(here: Path, recordings: Path, capsys) -> None:
    run = only_run(here)
    assert train.main([f"data.root={recordings}", *OWN, f"init_from={run}", "dry_run=true"]) == 0
    assert "100.0% of the weights" in capsys.readouterr().err


def test_a_stranger_is_started_from_without_its_code(here: Path, recordings: Path, capsys) -> None:
    start = [f"data.root={recordings}", *TINY, f"init_from={only_run(here)}", "dry_run=true"]
    assert train.main(start) == 2
    assert "another architecture" in capsys.readouterr().err
    assert not (here / "witness").exists()


def test_an_edit_of_it_changes_the_signature(here: Path) -> None:
    config = {"architecture": {"_target_": "mine.build"}}
    before = signature.code_digest(config)
    (here / "mine.py").write_text(MODULE + "\nMORE = 1\n")
    assert signature.code_digest(config) != before


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("architecture.width=0",), "posterior.width=0: 1 or more"),
        (("architecture.sample_rate_hz=44100",), "take sample_rate_hz: ${data.sample_rate_hz}"),
        (("data.chunk_samples=8200",), "no multiple of the model's hop_samples=128; take 8192"),
        (("architecture=dull",), "builds a Linear, not an Autoencoder"),
        (("architecture=changing",), "built twice from one config it differs"),
        (("architecture=broken",), "cannot be imported: NameError: name 'nothing' is not defined"),
        (("architecture=half",), "half.py', line 1)"),
        (("architecture=lost",), "Interpolation key 'nowhere' not found"),
    ],
)
def test_what_cannot_be_kept_is_refused_before_it_is_trained(
    here: Path, recordings: Path, capsys, overrides: tuple[str, ...], told: str
) -> None:
    options = {
        "dull": "_target_: mine.dull\nchannels: 1\nlatent_dim: 4\nclip_dim: 0\nwidth: 16\n",
        "changing": "defaults: [mine]\n_target_: mine.changing\n",
        "broken": "_target_: broken.Part\nlatent_dim: 4\nclip_dim: 0\nwidth: 16\n",
        "half": "_target_: half.Part\nlatent_dim: 4\nclip_dim: 0\nwidth: 16\n",
        "lost": "defaults: [mine]\nwidth: ${nowhere}\n",
    }
    for name, text in options.items():
        (here / "conf" / "architecture" / f"{name}.yaml").write_text(text)
    (here / "broken.py").write_text("x = nothing\n")
    (here / "half.py").write_text("class Part(:\n")
    keys = {text.split("=")[0] for text in overrides}
    words = [text for text in OWN if text.split("=")[0] not in keys and "expansion" not in text]
    assert train.main([f"data.root={recordings}", *words, *overrides]) == 2
    assert told in capsys.readouterr().err
    assert os.listdir(here / "outputs") == [only_run(here).name]
