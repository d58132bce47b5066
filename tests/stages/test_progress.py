"""Lines of progress: none before ten seconds, then one in ten."""

import sys

import pytest

from timbrel.stages import progress


@pytest.mark.parametrize(
    ("begin", "said"),
    [
        (progress.measured_recordings, "measured {} of 25 recordings ({}.wav)"),
        (progress.scanned_files, "looked at {} of 25 files ({}.wav)"),
        (progress.decoded_recordings, "decoded {} of 25 recordings ({}.wav)"),
    ],
)
def test_a_line_in_ten_seconds(monkeypatch, capsys, begin, said) -> None:
    now_s = 100.0
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    tell = begin(lambda: now_s)
    for done in range(1, 26):  # one a second
        now_s += 1.0
        tell(done, 25, f"{done}.wav")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [said.format(10, 10), said.format(20, 20)]


def test_a_name_never_reaches_the_terminal_as_a_command(monkeypatch, capsys) -> None:
    now_s = 0.0
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    tell = progress.decoded_recordings(lambda: now_s)
    now_s = 11.0
    tell(1, 2, "\x1b[2Jkick.wav")
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("begin", [progress.scanned_files, progress.decoded_recordings])
def test_a_log_has_no_line_of_it(capsys, begin) -> None:
    now_s = 0.0
    tell = begin(lambda: now_s)
    now_s = 11.0
    tell(1, 2, "kick.wav")
    assert capsys.readouterr().err == ""
