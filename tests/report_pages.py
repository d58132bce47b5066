"""What tests of pages need: a page parsed and judged, and made-up scores of a run."""

import base64
import csv
import io
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import soundfile

from signals import noise

FILES = [f"hit {i}.wav" for i in range(6)]
METRICS = ("mrstft", "log_mel_l1", "si_sdr_db", "loudness_error_lu")


class Page(HTMLParser):
    """What a test asks of a page; refuses one that loads anything or names two things alike."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html, self.open, self.tags, self.text = html, [], [], []
        self.ids, self.links = Counter(), []
        self.feed(html)
        assert self.open == []
        assert all(count == 1 for count in self.ids.values()), self.ids.most_common(1)
        assert {link[1:] for link in self.links if link.startswith("#")} <= set(self.ids)
        assert "@import" not in html

    def handle_starttag(self, tag, attrs):
        assert tag not in ("iframe", "link", "object", "embed")
        values = dict(attrs)
        self.tags.append((tag, values))
        if "id" in values:
            self.ids[values["id"]] += 1
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            if values.get(name) is not None:
                assert values[name].startswith(("data:", "#")), (tag, name, values[name][:60])
                self.links.append(values[name])
        assert not any(name.startswith("on") for name in values)
        if tag == "img":
            assert values["alt"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "title", "script"} & set(self.open):
            self.text.append(data)

    @property
    def words(self) -> str:
        """The text that a reader sees, with single spaces."""
        return " ".join(" ".join(self.text).split())

    @property
    def players(self) -> dict[str, tuple[np.ndarray, int]]:
        """Samples `(time, channel)` and rate of every player, by its label."""
        found = {}
        for tag, values in self.tags:
            if tag == "audio":
                data = base64.b64decode(values["src"].removeprefix("data:audio/flac;base64,"))
                audio, rate_hz = soundfile.read(io.BytesIO(data), always_2d=True, dtype="int16")
                found[values["aria-label"]] = (audio, rate_hz)
        return found


def write_csv(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        table = csv.DictWriter(stream, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def write_evaluation(folder: Path, files: list[str] = FILES, part: str = "test") -> None:
    """Made-up scores: file i has an MR-STFT of 1 + i / 10."""
    rows, summary = [], []
    for of_part in ("train", part):
        for system, base in (("model", 1.0), ("silence", 3.0), ("noise", 2.5)):
            values = []
            for i, file in enumerate(files):
                scores = {name: base + i / 10 + k for k, name in enumerate(METRICS)}
                values.append(scores)
                rate = 2500 if system == "model" else ""
                row = {"part": of_part, "file": file, "system": system, "seconds": 0.5}
                rows.append(row | scores | {"nats_per_second": rate})
            for name in METRICS:
                mean = float(np.mean([scores[name] for scores in values]))
                row = {"part": of_part, "system": system, "metric": name, "mean": mean}
                summary.append(row | {"low": mean - 0.1, "high": mean + 0.1, "files": len(files)})
    folder = folder / "evaluation"
    write_csv(folder / "files.csv", rows)
    write_csv(folder / "summary.csv", summary)
    passed = {
        "gate": "beats_noise",
        "value": 1.25,
        "limit": 2.5,
        "passed": "yes",
        "meaning": "It does.",
    }
    write_csv(folder / "gates.csv", [passed])
    for i, file in enumerate(files):
        for kind, level in (("reference", 0.5), ("reconstruction", 0.25)):
            path = folder / "audio" / part / kind / f"{i:03d}_{Path(file).stem}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, level * noise(0.5, seed=i), 48_000, subtype="FLOAT")


def write_map(run: Path) -> None:
    folder = run / "analysis"
    rows = []
    for i, kind in enumerate(("train", "train", "validation", "test", "new")):
        row = {"kind": kind, "name": f"<hit {i}>", "x": i, "y": -i, "brightness": 8 + i}
        row |= {"pitch": 7 if i == 1 else "", "hnr": "", "attack": -2, "decay": 5, "level": -20 - i}
        rows.append(row | {"sound": f"map/{i:03d}.wav"})
        path = folder / "map" / f"{i:03d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, noise(0.1, seed=i), 24_000, subtype="FLOAT")
    write_csv(folder / "map.csv", rows)
    write_csv(folder / "map_axes.csv", [{"axis": "x", "share": 0.5}, {"axis": "y", "share": 0.25}])
