import io

import numpy as np
import pytest

from timbrel.audio.view import View


@pytest.mark.parametrize("block", [1, 3, 7, 100])
def test_pieces_are_read_as_one_file(block: int) -> None:
    file = io.BufferedReader(io.BytesIO(bytes(range(100))))
    view = View(file, (b"head", range(10, 20), b"", b"-", range(90, 100)))
    expected = b"head" + bytes(range(10, 20)) + b"-" + bytes(range(90, 100))
    blocks = iter(lambda: view.read(block), b"")
    assert b"".join(blocks) == expected
    assert view.seek(0, io.SEEK_END) == len(view) == len(expected)
    for at in np.random.default_rng(0).permutation(len(expected)):
        assert view.seek(int(at)) == at
        assert view.read(block) == expected[at : at + block]


def test_a_stretch_beyond_the_file_ends_with_it() -> None:
    view = View(io.BufferedReader(io.BytesIO(b"abc")), (range(1, 10), b"never"))
    assert view.read(20) == b"bc"
