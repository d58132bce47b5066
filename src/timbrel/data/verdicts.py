"""What becomes of each file of a folder, and why."""

from enum import StrEnum


class Verdict(StrEnum):
    """Use it; use it but say so; leave it out and say so; leave it out in silence."""

    ACCEPT = "accept"
    ACCEPT_WARN = "accept_warn"
    SKIP_WARN = "skip_warn"
    SKIP = "skip"
