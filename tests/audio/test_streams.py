"""Streams that hold more than their first header says."""

import struct
from pathlib import Path

import numpy as np
import pytest

from headers import codes, encoded, put
from timbrel.audio.read import open_sound, read
from timbrel.audio.streams import examine

FLAC = encoded("FLAC", "PCM_16", codes(2.0))
OTHER = encoded("FLAC", "PCM_16", codes(1.0, 400.0))
TOTAL = struct.unpack(">Q", FLAC[18:26])[0]


def stored(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "x"
    path.write_bytes(content)
    return path


def with_total(content: bytes, samples: int) -> bytes:
    return put(content, 18, ">Q", TOTAL >> 36 << 36 | samples)


@pytest.mark.parametrize("tag", [b"", b"TAG" + b" " * 125], ids=["bare", "tag behind"])
@pytest.mark.parametrize(("said", "expected"), [(0, None), (48_000, 48_000), (96_000, 96_000)])
def test_flac_is_read_to_its_last_frame(
    tmp_path: Path, said: int, expected: int | None, tag: bytes
) -> None:
    path = stored(tmp_path, with_total(FLAC, said) + tag)
    np.testing.assert_array_equal(read(path)[0][0], codes(2.0) / np.float32(32768))
    with open_sound(path) as sound:
        assert sound.header_samples == expected
        assert sound.header.n_samples == 96_000


def test_flac_streams_one_behind_the_other(tmp_path: Path) -> None:
    path = stored(tmp_path, bytes(FLAC + OTHER))
    expected = np.concatenate([codes(2.0), codes(1.0, 400.0)]) / np.float32(32768)
    np.testing.assert_array_equal(read(path)[0][0], expected)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("junk", [b"", b"x" * 5000])
def test_ogg_streams_one_behind_the_other(tmp_path: Path, subtype: str, junk: bytes) -> None:
    parts = [encoded("OGG", subtype, codes(1.0, hz) / 32768) for hz in (200, 400, 600)]
    path = stored(tmp_path, junk.join(map(bytes, parts)))
    samples, _ = read(path)
    assert samples.shape == (1, 144_000)
    for index, part in enumerate(parts):
        alone, _ = read(stored(tmp_path, bytes(part)))
        np.testing.assert_array_equal(samples[:, 48_000 * index : 48_000 * (index + 1)], alone)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("granule", [0, -1, 4000])
def test_an_ogg_stream_whose_last_page_ends_too_early(
    tmp_path: Path, subtype: str, granule: int
) -> None:
    noisy = 0.3 * np.random.default_rng(0).standard_normal(3 * 48_000)
    content = encoded("OGG", subtype, noisy)
    whole, _ = read(stored(tmp_path, bytes(content)))
    last = content.rindex(b"OggS")
    checked = put(put(content, last + 6, "<q", granule), last + 22, "<I", 0)
    path = stored(tmp_path, put(checked, last + 22, "<I", checksum(checked[last:])))
    samples, _ = read(path)
    # What the last page cuts off at the true end is heard as well.
    assert whole.shape[1] <= samples.shape[1] < whole.shape[1] + 2048
    np.testing.assert_array_equal(samples[:, : whole.shape[1] - 4096], whole[:, :-4096])
    with open_sound(path) as sound:
        assert sound.header_samples is None


def checksum(page: bytes) -> int:
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def test_ordinary_files_need_no_view(shared: Path) -> None:
    for path in sorted((shared / "data/mixed_formats").rglob("*.*")):
        with path.open("rb") as file:
            extent = examine(file)
        assert extent is None or extent.views == ()
