"""Every damaged header gives samples or an error of one sentence."""

from pathlib import Path

import numpy as np
import pytest

from headers import codes, encoded, long_wav, pcm, wav
from timbrel.audio.read import read_blocks
from timbrel.errors import UserError

TONE = codes() / 32768
FILES = {
    "WAV": wav(pcm(), 0, 0),
    "RF64": long_wav(pcm(), 0, b"RF64"),
    **{name: bytes(encoded(name, "PCM_16", codes())) for name in ("W64", "AIFF", "CAF", "AU")},
    "FLAC": bytes(encoded("FLAC", "PCM_16", codes())) * 2,
    "OGG": bytes(encoded("OGG", "VORBIS", TONE)) * 2,
    "MP3": bytes(encoded("MP3", "MPEG_LAYER_III", TONE)) * 2,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", FILES)
def test_damage_anywhere_is_survived(tmp_path: Path, name: str) -> None:
    generator = np.random.default_rng(0)
    path = tmp_path / "x"
    for turn in range(40):
        content = bytearray(FILES[name])
        reach = 120 if turn % 2 else len(content)
        for at in generator.integers(reach, size=4):
            content[at] = generator.choice([0, 0x7F, 0x80, 0xFF, generator.integers(256)])
        path.write_bytes(
            content[: generator.integers(1, len(content))] if turn % 4 == 3 else content
        )
        try:
            frames = sum(len(block) for block in read_blocks(path, 8192))
        except UserError:
            continue
        assert frames <= 8 * len(content)
