"""Lines of progress: none before ten seconds, then one in ten."""

from timbrel.stages import progress


def test_a_line_in_ten_seconds(monkeypatch, capsys) -> None:
    now_s = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now_s)
    tell = progress.measured_recordings()
    for done in range(1, 26):  # one a second
        now_s += 1.0
        tell(done, 25, f"{done}.wav")
    assert capsys.readouterr().err.splitlines() == [
        "measured 10 of 25 recordings (10.wav)",
        "measured 20 of 25 recordings (20.wav)",
    ]
