"""timbrel recognises its own sound files under another name and in another container."""

import json
import struct
from pathlib import Path

import pytest
import soundfile

from signals import noise
from timbrel.analysis.evaluation import write_wav
from timbrel.audio.export import ExportSettings, export
from timbrel.audio.origin import comment_of, is_marked, tag

METADATA = {"title": "kick prior", "model": "kick", "model_hash": "ab" * 16, "seed": 3}


def rendered(path: Path, **settings: str) -> Path:
    export(
        path,
        [noise(2.0)[None]],
        rate_hz=48_000,
        settings=ExportSettings(format=path.suffix[1:], **settings),
        metadata=METADATA,
    )
    return path


def converted(source: Path, target: Path, names: tuple[str, ...], **settings: str) -> Path:
    """The samples of `source` in another container, with those of its tags."""
    with (
        soundfile.SoundFile(source) as old,
        soundfile.SoundFile(target, "w", 48_000, 1, **settings) as new,
    ):
        for name in names:
            setattr(new, name, getattr(old, name))
        new.write(old.read())
    return target


@pytest.mark.parametrize(
    ("name", "encoding"), [("a.wav", "16"), ("a.wav", "24"), ("a.wav", "32f"), ("a.flac", "24")]
)
def test_what_is_exported_is_known(tmp_path: Path, name: str, encoding: str) -> None:
    path = rendered(tmp_path / name, encoding=encoding)
    assert is_marked(path)
    assert is_marked(path.rename(tmp_path / "my best kick"))


@pytest.mark.parametrize("format", ["WAV", "FLAC", "AIFF", "CAF", "RF64", "OGG", "MP3"])
@pytest.mark.parametrize("names", [("software",), ("comment",)], ids=["software", "comment"])
def test_one_of_its_tags_is_enough_in_any_container(tmp_path: Path, format: str, names) -> None:
    if format == "MP3" and names == ("software",):
        pytest.skip("libsndfile's MP3 writer has no such tag")
    source = rendered(tmp_path / "a.wav")
    assert is_marked(converted(source, tmp_path / "b", names, format=format))
    assert not is_marked(converted(source, tmp_path / "c", (), format=format))


def test_a_comment_behind_the_samples_is_found(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(2.0), 48_000)
    assert not is_marked(tmp_path / "a.wav")
    text = comment_of(METADATA).encode()
    text += b"\0" * (len(text) % 2)
    chunk = b"INFOICMT" + struct.pack("<I", len(text)) + text
    with open(tmp_path / "a.wav", "ab") as file:
        file.write(b"LIST" + struct.pack("<I", len(chunk)) + chunk)
    assert is_marked(tmp_path / "a.wav")


def test_a_copy_of_a_recording_is_no_product(tmp_path: Path) -> None:
    write_wav(tmp_path / "reference.wav", noise(0.1)[None], 48_000)
    write_wav(tmp_path / "reconstruction.wav", noise(0.1)[None], 48_000, made="reconstruction")
    assert not is_marked(tmp_path / "reference.wav")
    assert is_marked(tmp_path / "reconstruction.wav")


def test_short_and_empty_files(tmp_path: Path) -> None:
    for size in (0, 1, 3):
        (tmp_path / "a").write_bytes(b"R" * size)
        assert not is_marked(tmp_path / "a")


def test_any_name_fits_a_tag() -> None:
    names = ["kick", "\udcff", "й" * 400, "😀" * 400, "\n" * 400]
    metadata = [{key: tag(name) for key in ("title", "model", "source")} for name in names]
    assert [json.loads(comment_of(each))["title"][:2] for each in metadata] == [
        *("ki", "\\u", "йй", "😀😀", "\n\n"),
    ]
    assert tag("kick 1, prior") == "kick 1, prior"
