"""Measuring in a process of its own, because Python's lock limits threads to one core.

Run as `python -m timbrel.data.measured.attribute_process`, which reads sounds from its
input and writes measurements to its output.
"""

from collections.abc import Sequence
from pathlib import Path

from timbrel.attributes.measurement import Measurement
from timbrel.data.measured.attribute_store import Sound, measured
from timbrel.data.worker_process import SINGLE_THREADED, WorkerProcess, module_command, serve

COMMAND = module_command("timbrel.data.measured.attribute_process")
Job = tuple[Sound, Path]


def measuring_process(command: Sequence[str] = COMMAND) -> WorkerProcess[Job, Measurement]:
    """One process that does `attribute_store.measured`."""
    return WorkerProcess(
        command,
        ended=lambda job: (
            f"{job[0].name!r}: its attributes could not be measured (the process that does it "
            "ended on it, as it does where memory runs out)"
        ),
        environment=SINGLE_THREADED,
    )


if __name__ == "__main__":
    serve(lambda job: measured(*job))
