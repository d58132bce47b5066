"""The same clips in every run on one data set, and file names that do not collide."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from timbrel.contracts import Conditions
from timbrel.training.held_out_audio import HeldOutAudio, HeldOutClip, _stems, choose_clips


@dataclass(frozen=True)
class Clip:
    content_hash: str
    name: str = ""


@dataclass(frozen=True)
class Piece:
    clip: Clip
    start_sample: int = 0


def test_the_choice_is_a_function_of_contents_alone() -> None:
    pieces = [Piece(Clip(content, name)) for content, name in zip("dbac", "1234", strict=True)]
    for order in itertools.permutations(pieces):
        chosen = choose_clips(order, 3)  # type: ignore[arg-type]
        assert [piece.clip.content_hash for piece in chosen] == ["a", "b", "c"]


def test_one_piece_of_every_content_before_a_second() -> None:
    pieces = [Piece(Clip("a"), 0), Piece(Clip("a"), 9), Piece(Clip("b"), 4), Piece(Clip("b"), 2)]
    chosen = choose_clips(pieces, 3)  # type: ignore[arg-type]
    assert [(p.clip.content_hash, p.start_sample) for p in chosen] == [("a", 0), ("b", 2), ("a", 9)]


def test_files_of_one_name_do_not_overwrite_one_another() -> None:
    assert _stems(["a/kick.wav", "b/kick.wav", "kick_2.flac"]) == ["kick", "kick_2", "kick_2_2"]
    assert _stems(["two\nlines.wav", "caf\udce9.wav"]) == ["two lines", "caf\\udce9"]


def test_a_name_as_long_as_a_file_system_takes_leaves_room_for_what_is_put_around_it() -> None:
    for name in ("\U0001f941" * 62 + ".wav", "\udcff" * 250 + ".wav"):
        (stem,) = _stems([name])
        assert 100 < len(stem.encode()) <= 200


class Wire(torch.nn.Module):
    """A model that gives back what it is given."""

    sample_rate_hz, hop_samples, conditions = 48_000, 512, ()

    def encode(self, audio: torch.Tensor, conditions: Conditions) -> SimpleNamespace:
        return SimpleNamespace(mean=audio)

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        return latent


def test_a_disk_that_refuses_sounds_is_told_of_once_and_ends_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "audio").touch()  # no folder can be made there
    validation = SimpleNamespace(count=1, result={"loss": 1.0})
    clips = [HeldOutClip(name, np.zeros((1, 2048), np.float32)) for name in "ab"]
    watcher = HeldOutAudio(
        tmp_path / "audio", clips, validation, rate_hz=48_000, every_validations=1
    )
    trainer = SimpleNamespace(should_stop=False, is_global_zero=True)
    module = SimpleNamespace(step=1, averaged=Wire(), device=torch.device("cpu"))
    for _ in range(2):
        watcher.on_train_batch_end(trainer, module)
        assert watcher.files == []
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"sounds are left out: '{tmp_path}/audio/validation/original/a.wav'")
