"""Names that fit, stay apart and are whole characters."""

import pytest

from timbrel.audio.names import file_name, file_stem, fitted, fitting


@pytest.mark.parametrize("name", ["k" * 300, "録" * 100, "🥁" * 100, "é" * 200, "k\udcff" * 150])
@pytest.mark.parametrize("most_bytes", [100, 101, 102, 103])
def test_a_long_name_fits_is_text_and_stays_unique(name: str, most_bytes: int) -> None:
    short, other = fitted(name, most_bytes), fitted(name + "x", most_bytes)
    assert most_bytes - 4 < len(short.encode()) <= most_bytes or "\udcff" in name
    assert len(short.encode()) <= most_bytes
    assert name.replace("\udcff", "").startswith(short[:-9])
    assert short != other


def test_what_fits_is_left_alone() -> None:
    assert fitted("録" * 40, 120) == "録" * 40
    assert file_name("kick_spectral_vae", 200) == "kick_spectral_vae"
    assert file_name("../a b/${n}", 200) == "a_b_n"


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("../../x", "_.._x"),
        ("/tmp/x", "_tmp_x"),
        ("..", "_"),
        (".", "_"),
        ("", "_"),
        ("a\0b\x1b[2J", "a\\x00b\\x1b[2J"),
        ("a\nb", "a b"),
        ("gpj.\u202ewav", "gpj.\\u202ewav"),
    ],
)
def test_the_stem_of_a_file_is_no_path_and_obeyed_by_no_terminal(name: str, stem: str) -> None:
    assert fitting(name) == stem
    assert file_stem("kicks/..\x1bdeep.wav") == "\\x1bdeep"


def test_a_stem_of_any_length_fits() -> None:
    assert len(fitting("n" * 300).encode()) <= 200
