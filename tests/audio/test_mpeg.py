"""An MP3 is read to its last frame, whatever its Xing frame says or does not."""

import struct
from pathlib import Path

import numpy as np
import pytest

from headers import encoded
from timbrel.audio.mpeg import examine
from timbrel.audio.read import open_sound, read

RNG = np.random.default_rng(0)
QUIET, LOUD = 0.001 * RNG.standard_normal(96_000), 0.3 * RNG.standard_normal(96_000)
FRAME, DELAY = 1152, 3000
ART = b"ID3\3\0\0" + bytes([0, 6, 0, 0]) + bytes(6 << 14)


def mp3(samples: np.ndarray, mode: str = "VARIABLE") -> bytes:
    return bytes(
        encoded("MP3", "MPEG_LAYER_III", samples, compression_level=0.5, bitrate_mode=mode)
    )


def first_frame(content: bytes) -> int:
    """The bytes of the first frame: MPEG 1, layer III, 48 kHz."""
    rates = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
    return 3 * rates[content[2] >> 4] + (content[2] >> 1 & 1)


VARIABLE = mp3(np.concatenate([QUIET, LOUD]))
OTHER = mp3(np.concatenate([LOUD, QUIET]))
BARE, BARE_OTHER = VARIABLE[first_frame(VARIABLE) :], OTHER[first_frame(OTHER) :]
SHORT = mp3(QUIET)
CONSTANT = mp3(np.concatenate([QUIET, LOUD]), "CONSTANT")
BARE_CONSTANT = CONSTANT[first_frame(CONSTANT) :]
ONCE, TWICE = 192_000, 384_000
FILES = {
    "ordinary": (VARIABLE, ONCE, ONCE),
    "ordinary, with art": (ART + VARIABLE, ONCE, ONCE),
    "constant": (CONSTANT, ONCE, ONCE),
    "no Xing frame": (BARE, ONCE, None),
    "no Xing frame, loud first": (BARE_OTHER, ONCE, None),
    "no Xing frame, constant": (BARE_CONSTANT, ONCE, ONCE),
    "no Xing frame, constant, with art": (ART + BARE_CONSTANT, ONCE, ONCE),
    "no Xing frame, constant, tags behind": (BARE_CONSTANT + b"TAG" + bytes(125), ONCE, ONCE),
    "a Xing frame that says less": (SHORT[: first_frame(SHORT)] + BARE, ONCE, 96_000),
    "a Xing frame without a count": (
        VARIABLE.replace(b"Xing\0\0\0\x0f", b"Xing\0\0\0\x0e"),
        ONCE,
        None,
    ),
    "two": (VARIABLE + OTHER, TWICE, ONCE),
    "two, no Xing frames": (BARE + BARE_OTHER, TWICE, None),
    "two, a tag between": (VARIABLE + ART + OTHER, TWICE, ONCE),
    "two, constant": (CONSTANT + mp3(LOUD, "CONSTANT"), ONCE + 96_000, ONCE),
    "junk behind": (VARIABLE + np.random.default_rng(1).bytes(50_000), ONCE, ONCE),
}


@pytest.mark.parametrize(("content", "held", "said"), FILES.values(), ids=FILES)
def test_all_frames_are_read(tmp_path: Path, content: bytes, held: int, said: int | None) -> None:
    path = tmp_path / "x.mp3"
    path.write_bytes(content)
    frames = read(path)[0].shape[1]
    assert held <= frames <= held + 2 * DELAY
    with open_sound(path) as sound:
        assert sound.header.n_samples == frames
        if said is None:
            assert sound.header_samples is None
        else:
            assert sound.header_samples is not None
            assert abs(sound.header_samples - said) <= DELAY


def test_what_lies_behind_a_short_count_is_the_sound_itself(tmp_path: Path) -> None:
    """Without its Xing frame the file begins by the encoder's delay later, else equal."""
    (tmp_path / "a.mp3").write_bytes(VARIABLE)
    (tmp_path / "b.mp3").write_bytes(BARE)
    ordinary, bare = (read(tmp_path / name)[0][0] for name in ("a.mp3", "b.mp3"))
    shift = 576
    np.testing.assert_allclose(bare[shift : shift + ONCE - 4096], ordinary[:-4096], atol=1e-3)


def test_a_free_format_is_left_to_the_decoder(tmp_path: Path) -> None:
    """Frames without a bit rate cannot be counted: our reader leaves them to the decoder."""
    path = tmp_path / "x.mp3"
    path.write_bytes(struct.pack(">I", 0xFFFB0400) + bytes(1000))
    with path.open("rb") as file:
        assert examine(file, 1000).views == ()
