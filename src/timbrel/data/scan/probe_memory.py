"""Measurements remembered between scans, so that a second scan decodes nothing."""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import soundfile

from timbrel.data.scan.probe import Measurement
from timbrel.files import WriteError, write_text

logger = logging.getLogger(__name__)

Identity = tuple[int, int, int]
# Raise it whenever a measurement comes to mean something else; a new decoder may read more.
VERSION = f"2/{soundfile.__libsndfile_version__}"


def memory_file(memory: Path, root: Path) -> Path:
    """Where the measurements of the folder `root` are kept."""
    digest = hashlib.blake2b(os.fsencode(os.path.abspath(root)), digest_size=8).hexdigest()
    return memory / f"catalog-{digest}.json"


def recall(file: Path) -> dict[tuple[str, Identity], Measurement]:
    """What is remembered, by absolute path and identity; nothing from a damaged or old file."""
    try:
        stored = json.loads(file.read_text("ascii"))
        if stored["version"] != VERSION:
            return {}
        return {
            (path, tuple(identity)): Measurement.from_json(record)
            for path, identity, record in stored["files"]
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def remember(file: Path, measured: Mapping[tuple[str, Identity], Measurement]) -> None:
    """Replace what is remembered, in one step. A folder that cannot be written is only logged."""
    records = [[path, identity, asdict(value)] for (path, identity), value in measured.items()]
    try:
        write_text(file, json.dumps({"version": VERSION, "files": records}))
    except WriteError as error:
        logger.warning("the next scan measures anew: %s", error)
