"""Every row of the hostile set gets the verdict that its manifest asks for."""

import csv
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from signals import sine
from timbrel.data.scan.catalog import Catalog, FileReport, scan

MANIFEST = (
    Path(os.environ.get("TIMBREL_SHARED", Path(__file__).resolve().parents[4] / "shared"))
    / "hostile/manifest.csv"
)
NOBODY = 65_534
# The manifest judges each file by itself. In one folder these repeat another file's samples
# (06, 16, 21 and 40 those of 00; 36 and 37 those of 35; 54 those of 22), which earns a warning.
REPEATED = ("06_", "16_", "21_", "36.", "37.", "40.", "54_")


def manifest() -> list[dict[str, str]]:
    if not MANIFEST.is_file():
        return []
    with open(MANIFEST, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


ROWS = manifest()


@pytest.fixture(scope="module")
def hostile(shared: Path) -> Iterator[Path]:
    archive = shared / "hostile/hostile.tar.gz"
    if not archive.is_file():
        pytest.skip(f"no hostile set at {archive}")
    # Not below pytest's own folder, which another user may not enter.
    folder = Path(tempfile.mkdtemp(prefix="timbrel-hostile-"))
    try:
        folder.chmod(0o755)
        subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
        os.mkfifo(folder / "43_fifo.wav")
        soundfile.write(folder / "42_no_permission.wav", sine(440, 1), 44_100)
        (folder / "42_no_permission.wav").chmod(0o000)
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def catalog(hostile: Path) -> Catalog:
    return scan(hostile)


def report_on(catalog: Catalog, path: str) -> FileReport:
    (report,) = [file for file in catalog.files if file.path == path]
    return report


@pytest.mark.timeout(120)
@pytest.mark.parametrize("row", ROWS, ids=[row["case"] for row in ROWS])
def test_verdict(
    row: dict[str, str],
    hostile: Path,
    catalog: Catalog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = row["file"]
    if name == "42_no_permission.wav":
        report = report_on(as_ordinary_user(hostile, tmp_path), name)
        assert "Permission denied" in report.reasons[0]
    elif name.startswith(REPEATED):
        assert report_on(catalog, name).verdict == "accept_warn"
        assert report_on(catalog, name).duplicate_of is not None
        shutil.copy(hostile / name, tmp_path / name)
        report = report_on(scan(tmp_path, workers=0), name)
    else:
        report = report_on(catalog, name)
    assert report.verdict == row["expected"], report.reasons
    assert report.reasons or report.verdict == "accept"
    assert report.trains <= (report.verdict in ("accept", "accept_warn"))


def as_ordinary_user(hostile: Path, tmp_path: Path) -> Catalog:
    """A scan of the file without permissions and of an ordinary one, not as root."""
    folder = hostile.with_name(hostile.name + "-as-user")
    folder.mkdir(mode=0o755)
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    try:
        for name in ("42_no_permission.wav", "22_cafe\u0301_nfd.wav"):
            shutil.copy2(hostile / name, folder / name)
        if root:
            os.seteuid(NOBODY)
        if os.access(folder / "42_no_permission.wav", os.R_OK, effective_ids=True):
            pytest.skip("this file system grants access to a file of mode 000")
        return scan(folder, workers=0)
    finally:
        if root:
            os.seteuid(0)
        shutil.rmtree(folder)


def test_the_manifest_is_whole(catalog: Catalog) -> None:
    listed = {row["file"] for row in ROWS}
    assert len(listed) == 60
    assert {file.path for file in catalog.files} == listed


def test_what_must_not_train_does_not(catalog: Catalog) -> None:
    training = {file.path for file in catalog.training_files}
    assert "00_control_ok.wav" in training
    assert not training & {
        "10_nan_inf_float.wav",
        "11_silent.wav",
        "53_denormals.wav",
        "31_duplicate_of_00.wav",
        "32_same_audio_other_container.flac",
    }
    assert len({file.content_hash for file in catalog.training_files}) == len(training)


def test_duplicates_name_the_first_file(catalog: Catalog) -> None:
    for name in ("31_duplicate_of_00.wav", "32_same_audio_other_container.flac"):
        assert report_on(catalog, name).duplicate_of == "00_control_ok.wav"


def test_measures_are_those_of_the_manifest(catalog: Catalog) -> None:
    """Frames, peak and mean as another program measured them, where it could."""
    compared = 0
    for row in (row for row in ROWS if row["store"] != "make in the test"):
        report = report_on(catalog, row["file"])
        if report.n_samples and row["peak"] and row["sf_read_frames"] and row["nonfinite"] == "0":
            assert report.n_samples == int(row["sf_read_frames"])
            assert report.peak == pytest.approx(float(row["peak"]), rel=1e-4)
            assert report.dc_offset is not None
            assert abs(report.dc_offset) >= abs(float(row["mean"])) - 1e-4
            compared += 1
    assert compared >= 35


def test_no_sample_of_a_good_file_is_lost(catalog: Catalog) -> None:
    control = report_on(catalog, "00_control_ok.wav")
    assert control.n_samples == control.header_samples == 66_150
    assert control.nonfinite == 0
    assert np.isclose(control.duration_s or 0, 1.5)
