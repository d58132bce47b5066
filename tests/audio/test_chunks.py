"""Whatever a container's sizes say, the samples that are there come back, and nothing else."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest

import headers
from headers import chunk, codes, encoded, fmt, long_wav, pcm, put, riff, wav
from signals import noise
from timbrel.audio.chunks import is_open
from timbrel.audio.read import Sound, describe, open_sound, read

PCM = pcm()
HALF = len(PCM) // 2
LIST = chunk(b"LIST", b"INFO" + chunk(b"ISFT", b"abc"))
ROOM = chunk(b"JUNK", bytes(28))
TRAILERS = [
    chunk(name, bytes(range(1, 120)))
    for name in (b"LIST", b"id3 ", b"bext", b"cue ", b"smpl", b"_PMX", b"iXML", b"JUNK", b"zzzz")
]


def opened(tmp_path: Path, content: bytes) -> tuple[Sound, np.ndarray]:
    path = tmp_path / "x"
    path.write_bytes(content)
    samples, _ = read(path)
    with open_sound(path) as sound:
        return sound, samples[0]


def assert_whole(tmp_path: Path, content: bytes) -> Sound:
    sound, samples = opened(tmp_path, content)
    np.testing.assert_array_equal(samples, codes() / np.float32(32768))
    assert sound.header.n_samples == len(samples)
    return sound


CAF = encoded("CAF", "PCM_16", codes())
CAF_SIZE = CAF.index(b"data") + 4
AU = encoded("AU", "PCM_16", codes())
AIFF = encoded("AIFF", "PCM_16", codes())
AIFF_SIZE = AIFF.index(b"SSND") + 4
AIFF_FRAMES = AIFF.index(b"COMM") + 10
W64 = encoded("W64", "PCM_16", codes())
W64_SIZE = W64.index(b"data") + 16
SHORT = {
    "size 0, never closed": (wav(PCM, 0, 0), 0),
    "size 0, RIFF right": (wav(PCM, 0), 0),
    "size 0, RIFF of an empty file": (wav(PCM, 0, 36), 0),
    "size 0, then chunks": (riff(fmt() + chunk(b"data", PCM, 0) + LIST, 0), 0),
    "size 0, room for RF64": (riff(ROOM + fmt() + chunk(b"data", PCM, 0), 0), 0),
    "half, RIFF of an empty file": (wav(PCM, HALF, 36), 0.5),
    "half, RIFF short too": (wav(PCM, HALF, 36 + HALF), 0.5),
    "half, RIFF right": (wav(PCM, HALF), 0.5),
    "RIFX 0": (riff(fmt(">") + chunk(b"data", pcm(order=">"), 0, order=">"), 0, magic=b"RIFX"), 0),
    "RF64 0": (long_wav(PCM, 0, b"RF64"), 0),
    "RF64 half": (long_wav(PCM, HALF, b"RF64"), 0.5),
    "BW64 half": (long_wav(PCM, HALF, b"BW64"), 0.5),
    "W64 half": (put(W64, W64_SIZE, "<q", 24 + HALF), 0.5),
    "W64 0": (put(W64, W64_SIZE, "<q", 24), 0),
    "CAF 0": (put(CAF, CAF_SIZE, ">q", 0), 0),
    "CAF empty": (put(CAF, CAF_SIZE, ">q", 4), 0),
    "CAF half": (put(CAF, CAF_SIZE, ">q", 4 + HALF), 0.5),
    "AU 0": (put(AU, 8, ">I", 0), 0),
    "AU half": (put(AU, 8, ">I", HALF), 0.5),
    "AIFF 0": (put(put(AIFF, AIFF_SIZE, ">I", 0), AIFF_FRAMES, ">I", 0), 0),
    "AIFF empty": (put(put(AIFF, AIFF_SIZE, ">I", 8), AIFF_FRAMES, ">I", 0), 0),
    "AIFF half": (put(put(AIFF, AIFF_SIZE, ">I", 8 + HALF), AIFF_FRAMES, ">I", HALF // 2), 0.5),
}  # fmt: skip


@pytest.mark.parametrize(("content", "said"), SHORT.values(), ids=SHORT)
def test_samples_behind_a_size_too_small_are_read(
    tmp_path: Path, content: bytes, said: float
) -> None:
    assert assert_whole(tmp_path, content).header_samples == round(said * len(codes()))


OPEN = {
    **{f"WAV {size:#x}": wav(PCM, size, size) for size in (0x7FFFF000, 0x7FFFFFFF, 0x7FFFFFFE)},
    **{f"WAV {size:#x}": wav(PCM, size, size) for size in (0x80000000, 0xFFFFFFFF, 0xFFFFFFDB)},
    "WAV, then chunks": riff(fmt() + chunk(b"data", PCM, 0xFFFFFFFF) + LIST, 0xFFFFFFFF),
    "RF64": long_wav(PCM, 2**64 - 73, b"RF64"),
    "BW64": long_wav(PCM, 2**64 - 73, b"BW64"),
    "CAF": put(CAF, CAF_SIZE, ">q", -1),
    "AU": put(AU, 8, ">I", 0xFFFFFFFF),
    "AU 0x7ffffff0": put(AU, 8, ">I", 0x7FFFFFF0),
    "AIFF": put(put(AIFF, AIFF_SIZE, ">I", 0x7F000008), AIFF_FRAMES, ">I", 0x3F800000),
    "W64": put(W64, W64_SIZE, "<q", 2**63 - 1),
}


@pytest.mark.parametrize("content", OPEN.values(), ids=OPEN)
def test_sizes_of_writers_that_stream_leave_the_length_open(tmp_path: Path, content: bytes) -> None:
    sound = assert_whole(tmp_path, content)
    assert sound.header_samples is None
    assert sound.extent.missing == 0


def test_what_counts_as_open() -> None:
    assert all(map(is_open, (-1, 0x7FFFF000, 0x80000000, 0xFFFFFFFF, 2**63 - 1)))
    assert not any(map(is_open, (0, 1, 0x70000000, 0x80000002, 3 << 30)))


@pytest.mark.parametrize("riff_size", [None, 36 + len(PCM)], ids=["inside RIFF", "behind RIFF"])
@pytest.mark.parametrize("rest", [*TRAILERS, LIST + LIST, bytes(4096), b"\xff" * 4096, b"\0"])
def test_chunks_and_padding_are_never_sound(
    tmp_path: Path, rest: bytes, riff_size: int | None
) -> None:
    sound = assert_whole(tmp_path, wav(PCM, None, riff_size) + rest)
    assert sound.header_samples == len(codes())
    assert sound.extent.junk == sound.extent.unread == 0


def test_chunks_at_the_end_of_other_containers_are_no_sound(tmp_path: Path) -> None:
    name = chunk(b"NAME", b"abcd", order=">")
    info = b"info" + struct.pack(">q", 12) + b"\0\0\0\1a\0b\0abcd"
    guid = b"LIST" + bytes.fromhex("2F91CF11A5D628DB04C10000") + struct.pack("<q", 64) + bytes(40)
    for content in (AIFF + name, CAF + info, W64 + guid):
        sound = assert_whole(tmp_path, bytes(content))
        assert sound.header_samples == len(codes())
        assert sound.extent.junk == sound.extent.unread == 0


JUNK = {
    "words": b"JUNK" * 1000,
    "random": np.random.default_rng(0).bytes(4000),
    "text": b"<p>The page was not found.</p>\n" * 200,
    "too short to be told": pcm()[:1000],
}


@pytest.mark.parametrize("rest", JUNK.values(), ids=JUNK)
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_junk_is_not_sound(tmp_path: Path, rest: bytes, subtype: str) -> None:
    content = encoded("WAV", subtype, codes() / 32768)
    sound, samples = opened(tmp_path, bytes(content) + rest)
    assert len(samples) == sound.header_samples == len(codes())
    assert (sound.extent.junk, sound.extent.unread) == (len(rest), 0)


def test_much_that_does_not_look_like_sound_is_told_apart(tmp_path: Path) -> None:
    rest = np.random.default_rng(0).bytes(100_000)
    sound, samples = opened(tmp_path, wav(PCM) + rest)
    assert len(samples) == len(codes())
    assert (sound.extent.junk, sound.extent.unread) == (0, len(rest))


@pytest.mark.parametrize("level", [0.01, 0.3])
def test_noise_that_goes_on_is_sound(tmp_path: Path, level: float) -> None:
    hiss = np.round(32767 * np.clip(level * noise(0.5), -1, 1)).astype("<i2")
    content = wav(hiss.tobytes(), hiss.nbytes // 2, 36 + hiss.nbytes // 2)
    assert len(opened(tmp_path, content)[1]) == len(hiss)


SPLIT = {
    "two": fmt() + chunk(b"data", PCM[:HALF]) + chunk(b"data", PCM[HALF:]),
    "with a list between": fmt() + chunk(b"data", PCM[:HALF]) + LIST + chunk(b"data", PCM[HALF:]),
    "odd, padded": fmt() + chunk(b"data", PCM[: HALF + 1]) + chunk(b"data", PCM[HALF + 1 :]),
    "odd, not padded": fmt()
    + chunk(b"data", PCM[: HALF + 1])[:-1]
    + chunk(b"data", PCM[HALF + 1 :])[:-1],
}


@pytest.mark.parametrize("body", SPLIT.values(), ids=SPLIT)
def test_samples_in_several_chunks_are_joined(tmp_path: Path, body: bytes) -> None:
    assert assert_whole(tmp_path, riff(body)).extent.joined == 2


ODD = {
    "data before fmt": chunk(b"data", PCM) + fmt(),
    "odd chunk": fmt() + chunk(b"bext", bytes(603)) + chunk(b"data", PCM),
    "odd chunk, not padded": fmt() + chunk(b"bext", bytes(603))[:-1] + chunk(b"data", PCM),
    "unknown odd chunk, not padded": fmt() + chunk(b"zzzz", b"x" * 5)[:-1] + chunk(b"data", PCM),
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
def test_chunks_in_odd_places(tmp_path: Path, body: bytes) -> None:
    sound = assert_whole(tmp_path, riff(body))
    assert sound.header_samples == len(codes())
    assert sound.extent.joined == 1


def test_files_put_one_behind_the_other(tmp_path: Path) -> None:
    sound, samples = opened(tmp_path, wav(PCM) + wav(PCM))
    np.testing.assert_array_equal(samples, np.tile(codes(), 2) / np.float32(32768))
    assert sound.extent.joined == 2
    other = bytes(encoded("WAV", "PCM_24", codes() / 32768))
    assert assert_whole(tmp_path, wav(PCM) + other).extent.unread == 3 * len(codes())


@pytest.mark.parametrize("subtype", ["MS_ADPCM", "IMA_ADPCM", "ULAW", "PCM_U8", "DOUBLE"])
def test_any_encoding_is_read_on(tmp_path: Path, subtype: str) -> None:
    content = encoded("WAV", subtype, codes() / 32768)
    whole = opened(tmp_path, bytes(content))[1]
    assert len(whole) >= len(codes())
    unclosed = put(content, content.index(b"data") + 4, "<I", 0)
    np.testing.assert_array_equal(opened(tmp_path, unclosed)[1], whole)


@pytest.mark.parametrize("rest", [b"", LIST], ids=["alone", "then chunks"])
def test_a_size_that_wrapped_at_4_gib(tmp_path: Path, rest: bytes) -> None:
    """Sparse: 12.4 hours that take no room on the disk."""
    path, size = tmp_path / "long.wav", (1 << 32) + 2 * headers.RATE_HZ
    path.write_bytes(wav(PCM, size & 0xFFFFFFFF, (size + 36) & 0xFFFFFFFF))
    os.truncate(path, 44 + size)
    with path.open("ab") as file:
        file.write(rest)
    with open_sound(path) as sound:
        assert (sound.header.n_samples, sound.header_samples) == (size // 2, headers.RATE_HZ)
        assert sound.header.format == "WAV"
        first = sound.decoders[0].read(len(codes()), dtype="float32")
    np.testing.assert_array_equal(first, codes() / np.float32(32768))


def test_what_a_cut_file_promises_is_counted(tmp_path: Path) -> None:
    for content in (wav(PCM), AIFF, CAF, AU, W64, long_wav(PCM, len(PCM), b"RF64")):
        sound, samples = opened(tmp_path, bytes(content[:-1000]))
        assert sound.extent.missing == 1000
        assert len(samples) == sound.header_samples == describe(tmp_path / "x").n_samples
        assert len(samples) == len(codes()) - 500
