"""Files that timbrel wrote among recordings are left out, and the scan tells so in few lines."""

import shutil
from pathlib import Path

import pytest
import soundfile

from signals import noise
from timbrel.audio.export import ExportSettings, export
from timbrel.data.scan.catalog import Catalog, scan
from timbrel.data.scan.catalog_table import summary
from timbrel.data.scan.tree import entries
from timbrel.errors import UserError
from timbrel.sweeps.signature import FileDigests, data_digest


def recording(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise(0.1, seed=seed), 48_000, subtype="PCM_24")
    return path


def rendered(path: Path, seed: int = 9) -> Path:
    settings = ExportSettings(format=path.suffix[1:])
    metadata = {"title": "kick", "model_hash": "ab" * 16, "seed": seed}
    export(
        path, [noise(0.1, seed=seed)[None]], rate_hz=48_000, settings=settings, metadata=metadata
    )
    return path


def run_folder(folder: Path, seed: int = 50) -> Path:
    """The files that tell a run folder, and sounds in it, some unmarked."""
    recording(folder / "audio/validation/original/a.wav", seed)
    recording(folder / "evaluation/audio/test/reconstruction/a.wav", seed + 1)
    for name in ("config.yaml", "overrides.yaml", "run.json"):
        (folder / name).write_text("{}")
    return folder


@pytest.fixture
def kicks(tmp_path: Path) -> Path:
    for seed in range(3):
        recording(tmp_path / f"kicks/{seed}.wav", seed)
    return tmp_path / "kicks"


def training(catalog: Catalog) -> list[str]:
    return [file.path for file in catalog.training_files]


def told(catalog: Catalog) -> dict[str, str]:
    return {file.path: file.reasons[0] for file in catalog.own_products}


def test_outputs_and_sweeps_are_one_line_each(kicks: Path) -> None:
    before = scan(kicks, workers=0)
    run_folder(kicks / "outputs/2026-11-22_181500_kicks")
    for seed in range(5):
        rendered(kicks / f"outputs/generated/kick_{seed}.wav", seed)
    for cell in ("a", "b"):
        run_folder(kicks / f"sweeps/study/{cell}/seed0")
    (kicks / "outputs/inspect_kicks.html").write_text("a page")
    catalog = scan(kicks, workers=0)
    assert catalog.training_files == before.training_files
    assert told(catalog) == {
        "outputs": "Written by timbrel (5 sounds and 1 run folder): not a recording; "
        "data.include_generated=true trains on such sounds.",
        "sweeps": "Written by timbrel (2 run folders): not a recording.",
    }
    assert summary(catalog) == (
        "3 files: 3 ok (✓), 0 with a warning (!), 0 left out (✗), 0 duplicates; "
        "2 by timbrel (-), left out; 3 train, 300 ms"
    )


def test_a_recording_beside_them_counts(kicks: Path) -> None:
    run_folder(kicks / "outputs/run")
    for seed in range(4):
        rendered(kicks / f"outputs/generated/{seed}.wav", seed)
    recording(kicks / "outputs/new.wav", 20)
    recording(kicks / "outputs/generated/mine.wav", 21)
    catalog = scan(kicks, workers=0)
    assert training(catalog) == [
        *("0.wav", "1.wav", "2.wav", "outputs/generated/mine.wav", "outputs/new.wav")
    ]
    assert set(told(catalog)) == {"outputs/generated", "outputs/run"}


def test_a_bundle_a_cache_and_wandb(kicks: Path) -> None:
    for name in ("model/card.json", "model/frontend.json", "model/weights.safetensors"):
        (kicks / name).parent.mkdir(exist_ok=True)
        (kicks / name).write_text("{}")
    recording(kicks / "model/a.wav", 10)
    recording(kicks / "beside.wav", 11)
    recording(kicks / "wandb/offline-run-2026/files/media/audio/b.wav", 12)
    recording(kicks / "cache/demo/c.wav", 13)
    (kicks / f"cache/{'0f' * 16}.npy").write_bytes(b"\x93NUMPY")
    recording(kicks / "more/wandb/d.wav", 14)  # named so by its owner
    catalog = scan(kicks, workers=0)
    assert training(catalog) == ["0.wav", "1.wav", "2.wav", "beside.wav", "more/wandb/d.wav"]
    assert set(told(catalog)) == {"cache", "model", "wandb"}


def test_rendered_sounds_count_where_that_is_wished(kicks: Path) -> None:
    rendered(kicks / "favourite.flac")
    run_folder(kicks / "outputs/run")
    assert "favourite.flac" in told(scan(kicks, workers=0))
    wished = scan(kicks, workers=0, include_generated=True)
    assert training(wished) == ["0.wav", "1.wav", "2.wav", "favourite.flac"]
    assert set(told(wished)) == {"outputs"}
    assert wished.include_generated


def test_what_was_remembered_hides_nothing(kicks: Path, tmp_path: Path) -> None:
    rendered(kicks / "favourite.wav")
    memory = tmp_path / "memory"
    for include, files in ((True, 4), (False, 3), (True, 4)):
        catalog = scan(kicks, workers=0, memory=memory, include_generated=include)
        assert len(catalog.training_files) == files


def test_a_further_folder_is_looked_at_the_same_way(kicks: Path, tmp_path: Path) -> None:
    recording(tmp_path / "more/x.wav", 30)
    rendered(tmp_path / "more/y.wav")
    run_folder(tmp_path / "more/outputs/run")
    catalog = scan(kicks, also=[tmp_path / "more"], workers=0)
    assert training(catalog) == ["0.wav", "1.wav", "2.wav", "more/x.wav"]
    assert set(told(catalog)) == {"more/outputs", "more/y.wav"}


@pytest.mark.parametrize("inside", ["", "audio", "sounds"])
def test_a_root_in_a_run_folder_is_asked_for(kicks: Path, tmp_path: Path, inside: str) -> None:
    run = run_folder(tmp_path / "outputs/run")
    recording(run / "sounds/a.wav", 40)
    with pytest.raises(UserError, match=r"data\.root: .* run folder.*include_generated=true"):
        scan(run / inside, workers=0)
    with pytest.raises(UserError, match=r"data\.also: .* run folder"):
        scan(kicks, also=[run / inside], workers=0)
    assert scan(run / inside, workers=0, include_generated=True).training_files


def test_nothing_but_own_products(tmp_path: Path) -> None:
    rendered(tmp_path / "generated/a.wav")
    run_folder(tmp_path / "run")
    with pytest.raises(UserError, match=r"2 written by timbrel .'generated'.*include_generated"):
        scan(tmp_path, workers=0)
    shutil.rmtree(tmp_path / "generated")
    with pytest.raises(UserError, match=r"1 written by timbrel .'run'.*1 run folder"):
        scan(tmp_path, workers=0)


def test_a_linked_run_folder_is_one(kicks: Path, tmp_path: Path) -> None:
    (kicks / "last").symlink_to(run_folder(tmp_path / "outputs/run"))
    assert set(told(scan(kicks, workers=0))) == {"last"}


def test_a_studys_signature_is_not_changed_by_what_it_writes(kicks: Path, tmp_path: Path) -> None:
    digests = FileDigests(tmp_path / "files.json")
    data = {"root": str(kicks), "also": []}
    before = data_digest(data, digests)
    run_folder(kicks / "sweeps/study/a/seed0")
    rendered(kicks / "favourite.wav")
    assert data_digest(data, digests) == before
    assert data_digest({**data, "include_generated": True}, digests) != before


def test_hundreds_of_them_are_listed_quickly(kicks: Path) -> None:
    sound = rendered(kicks / "outputs/generated/0.wav").read_bytes()
    for number in range(1, 500):
        (kicks / f"outputs/generated/{number}.wav").write_bytes(sound)
    assert [entry.path for entry in entries(kicks)] == ["0.wav", "1.wav", "2.wav", "outputs"]
