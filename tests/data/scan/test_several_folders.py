"""A catalog of several folders: unique names, one original per sound, every file found again."""

from pathlib import Path

import pytest
import soundfile

from signals import noise
from timbrel.data.cache.store import Cache
from timbrel.data.scan.catalog import scan
from timbrel.errors import UserError


def written(folder: Path, **seeds: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, seed in seeds.items():
        soundfile.write(folder / f"{name}.wav", noise(0.1, seed=seed), 48_000, subtype="PCM_24")
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, list[Path]]:
    root = written(tmp_path / "root", a=0, b=1)
    written(root / "kicks", c=2)
    also = [written(tmp_path / "x" / "kicks", a=3, c=2), written(tmp_path / "y" / "kicks", a=4)]
    return root, also


def test_names_are_unique_and_sorted(folders) -> None:
    root, also = folders
    catalog = scan(root, also=also, workers=0)
    paths = [file.path for file in catalog.files]
    assert paths == [
        "a.wav", "b.wav", "kicks-2/a.wav", "kicks-2/c.wav", "kicks-3/a.wav", "kicks/c.wav",
    ]  # fmt: skip
    assert [catalog.is_further(path) for path in paths] == [False, False, True, True, True, False]
    for file in catalog.files:
        assert catalog.absolute(file).is_file()
    assert catalog.located("kicks-2/a.wav") == also[0] / "a.wav"
    assert catalog.located("kicks/c.wav") == root / "kicks" / "c.wav"


def test_the_same_sound_in_a_further_folder_is_the_copy(folders) -> None:
    root, also = folders
    copies = [file for file in scan(root, also=also, workers=0).files if file.duplicate_of]
    assert [(file.path, file.duplicate_of) for file in copies] == [("kicks-2/c.wav", "kicks/c.wav")]


def test_the_cache_decodes_all_of_them(folders, tmp_path: Path) -> None:
    root, also = folders
    alone = scan(root, workers=0, memory=tmp_path / "memory")
    catalog = scan(root, also=also, workers=0, memory=tmp_path / "memory")
    clips = Cache(tmp_path / "cache").ensure(catalog, sample_rate_hz=48_000)
    assert [clip.name for clip in clips] == [file.path for file in catalog.training_files]
    assert [clip.clip_id for clip in clips] == list(range(5))
    own = {file.path: file for file in alone.files}
    assert [file for file in catalog.files if file.path in own] == list(alone.files)


def test_a_folder_that_is_gone_or_holds_no_sound_is_named(folders, tmp_path: Path) -> None:
    root, _ = folders
    with pytest.raises(UserError, match=r"gone': no such folder; set data\.also"):
        scan(root, also=[tmp_path / "gone"], workers=0)
    (tmp_path / "texts").mkdir()
    with pytest.raises(UserError, match=r"texts': no sound files; .* or set data\.also"):
        scan(root, also=[tmp_path / "texts"], workers=0)
