"""Measurements remembered between scans, so that a second scan decodes nothing."""

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import soundfile

from timbrel.data.probe import Measurement

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
    temporary = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=file.name)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            json.dump({"version": VERSION, "files": records}, stream)
        os.replace(temporary, file)
    except OSError as error:
        logger.warning("the next scan measures anew: %s", error)
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
