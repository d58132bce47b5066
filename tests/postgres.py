"""A PostgreSQL server for a test, in a folder of its own, reached by a socket in that folder."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

USER, PASSWORD = "timbrel", "swordfish-of-a-test"


def missing() -> str:
    """Why there can be no server here; empty where there can."""
    for program in ("initdb", "postgres"):
        if shutil.which(program) is None:
            return f"no program {program}"
    return "" if find_spec("psycopg") else "no package psycopg"


@dataclass
class Server:
    """A running server."""

    folder: Path
    process: "subprocess.Popen[bytes]"

    @property
    def address(self) -> str:
        """The database as SQLAlchemy names it, password and all."""
        return f"postgresql://{USER}:{PASSWORD}@/postgres?host={self.folder}"

    def restart(self) -> None:
        """Stop the server, its connections with it, and start it again."""
        _stop(self.process)
        self.process = _start(self.folder)


@contextmanager
def server() -> Iterator[Server]:
    """A server with an empty database `postgres`; it and its folder are gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="timbrel_pg_"))  # a socket's path has 107 bytes at most
    try:
        if os.geteuid() == 0:
            os.chown(folder, *_user()[:2])
        word = folder / "word"
        word.write_text(PASSWORD)
        initdb = ["initdb", "-D", folder / "data", "-U", USER, "--auth=scram-sha-256", "-N"]
        subprocess.run(
            [*_as_user(), *initdb, f"--pwfile={word}"], cwd=folder, check=True, capture_output=True
        )
        running = Server(folder, _start(folder))
        try:
            yield running
        finally:
            _stop(running.process)
    finally:
        shutil.rmtree(folder)


def _start(folder: Path) -> "subprocess.Popen[bytes]":
    command = ["postgres", "-D", folder / "data", "-k", folder, "-c", "listen_addresses="]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*_as_user(), *command], cwd=folder, stdout=log, stderr=log)
    while b"ready to accept connections" not in (folder / "log").read_bytes():
        assert process.poll() is None, (folder / "log").read_text()
        time.sleep(0.05)
    return process


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(2)  # the fast way: open connections are ended
    process.wait(60)


def _user() -> tuple[int, int]:
    """User and group for the server where this process is root's, whom it refuses to serve."""
    found = next((one for one in pwd.getpwall() if one.pw_name == "postgres"), None)
    found = found or pwd.getpwnam("nobody")
    return found.pw_uid, found.pw_gid


def _as_user() -> Sequence[str]:
    if os.geteuid() != 0:
        return []
    user, group = _user()
    return ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]
