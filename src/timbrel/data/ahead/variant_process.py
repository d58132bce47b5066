"""Rendering variants in a process of its own, one thread each.

Run as `python -m timbrel.data.ahead.variant_process`, which reads renderings from its
input and writes variants to its output.
"""

from timbrel.data.ahead.variants import Rendering, render
from timbrel.data.chunks.chunk import Variant
from timbrel.data.worker_process import SINGLE_THREADED, WorkerProcess, module_command, serve


def rendering_process() -> WorkerProcess[Rendering, Variant]:
    """One process that does `variants.render`."""
    return WorkerProcess(
        module_command("timbrel.data.ahead.variant_process"),
        ended=lambda job: (
            f"{job.segment.label!r}: the process that renders its variants ended on it; start "
            "again, and if it happens again take augmentation.expansion=0"
        ),
        environment=SINGLE_THREADED,
    )


if __name__ == "__main__":
    serve(render)
