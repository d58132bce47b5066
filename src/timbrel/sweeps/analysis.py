"""The analysis of a study's run: `timbrel analyze` of its model, once for each model and profile.

The run's record says of which model, by which profile and by which code it was made. An analysis
that was killed leaves no such note, so that it is made again.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from timbrel.errors import override_text
from timbrel.runs.folder import ANALYSIS_FOLDER
from timbrel.sweeps.record import Standing, State, read_record, standing
from timbrel.sweeps.signature import FileDigests, Signature, parent_digest, source_files

_ENTRY = "timbrel.stages.analysis_run"
# Not the processes: an analysis has one.
_DEVICE_KEYS = ("accelerator", "threads")


def analysis_identity(folder: Path, profile: str, digests: FileDigests) -> dict[str, str]:
    """What the analysis of the model in the run folder `folder` follows from."""
    return {"profile": profile, "model": parent_digest(folder, digests), "code": _code()}


@cache
def _code() -> str:
    """Of the sources of an analysis, as a call first finds them: what is edited while the study
    runs is a matter of the next call."""
    digest = hashlib.blake2b(digest_size=16)
    for name, path in source_files([_ENTRY]).items():
        digest.update(name.encode() + path.read_bytes())
    return digest.hexdigest()


def analysis_words(folder: Path, profile: str, config: Mapping[str, Any]) -> list[str]:
    """The words after `timbrel analyze` for a run of the training config `config`."""
    device = config.get("device", {})
    chosen = [f"device.{k}={override_text(device[k])}" for k in _DEVICE_KEYS if k in device]
    return [f"run={folder}", f"profile={profile}", *chosen]


def standing_of(
    folder: Path, signature: Signature, profile: str | None, digests: FileDigests
) -> Standing:
    """What is to be done about the run in `folder`; with a `profile` it needs an analysis too."""
    found, record = standing(folder, signature), read_record(folder)
    if profile is None or record is None:
        return found
    made = record.analysis
    found = replace(found, analysis_s=made.get("seconds"))
    if found.state is not State.finished:
        return found
    wanted = analysis_identity(folder, profile, digests)
    if any(made.get(key) != value for key, value in wanted.items()):
        return replace(found, state=State.to_analyze, trained=True)
    if made["reason"]:
        return replace(found, state=State.failed, reason=made["reason"], trained=True)
    if not (folder / ANALYSIS_FOLDER).is_dir():
        return replace(found, state=State.to_analyze, trained=True)
    return found
