"""Where a study's trials are kept, and Optuna's samplers and pruners from their config sections."""

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy.exc
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from timbrel.errors import UserError
from timbrel.words import without_password

JOURNAL_FILE = "journal.log"
_DRIVERS = {
    "psycopg": "timbrel[postgresql]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
}
_TRIES = 3
_NEEDS = {
    "CmaEsSampler": ("cmaes",),
    "GPSampler": ("scipy", "torch"),
    "WilcoxonPruner": ("scipy",),
}

LOST = (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError, OSError)
"""What a storage raises that is out of reach: a database, or the file of a journal."""

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def open_storage(place: str) -> BaseStorage:
    """The storage at `place`: a database, by its address (`sqlite:///...`), else a journal's file.

    Raises UserError where it cannot be opened.
    """
    try:
        if "://" in place:
            return _database(place)
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(place))
    except Exception as error:  # a driver's own errors are of many kinds
        shown = f"hydra.sweeper.storage={without_password(place)}"
        if module := _missing_driver(error):
            raise UserError(
                f"{shown}: needs the module {module}, which is not installed: "
                f"pip install '{_DRIVERS.get(module, module)}'"
            ) from error
        raise UserError(
            f"{shown}: cannot be opened ({reason(error)}); name a file, or a database such as "
            "sqlite:///study.db"
        ) from error


def _database(address: str) -> RDBStorage:
    """The database, with its tables. Of workers that make them at once, all but one try again."""
    # A connection that the server ended during a training is noticed, and made anew.
    kept_up = {"pool_pre_ping": True}
    for _ in range(_TRIES - 1):
        try:
            return RDBStorage(address, engine_kwargs=kept_up)
        except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.ProgrammingError):
            time.sleep(1.0)
    return RDBStorage(address, engine_kwargs=kept_up)


@contextmanager
def in_reach(place: str, way_out: str) -> Iterator[None]:
    """Raises UserError, with the way out, where the storage at `place` is lost meanwhile."""
    try:
        yield
    except LOST as error:
        if isinstance(error, OSError) and not str(error.filename).startswith(place):
            raise  # of another file
        raise UserError(
            f"hydra.sweeper.storage={without_password(place)}: out of reach ({reason(error)}); "
            f"{way_out}"
        ) from error


def _missing_driver(error: BaseException | None) -> str:
    """The module that a kind of database needs and that is not here; empty where that is not it."""
    while error is not None and not isinstance(error, ModuleNotFoundError):
        error = error.__cause__
    return (error.name or "") if error else ""


def reason(error: Exception) -> str:
    """The first line of the storage's own error; no part of an address that cannot be read."""
    if isinstance(error, ValueError):
        return "write KIND://USER:PASSWORD@HOST:PORT/DATABASE, with %40 for an @ of the password"
    wrapped = isinstance(error, optuna.exceptions.StorageInternalError)
    told = (wrapped and error.__cause__) or error
    lines = str(told).strip().splitlines()
    return without_password(lines[0]) if lines else type(error).__name__


def join_study(
    storage: BaseStorage,
    name: str,
    directions: Sequence[str],
    *,
    sampler: Any = None,
    pruner: Any = None,
) -> tuple[optuna.Study, bool]:
    """The study of that name, and whether it was made by this call.

    Who joins a study draws with a seed of its own: with the founder's it would repeat its draws.
    Raises UserError where the study has other objectives.
    """
    parts = {"storage": storage, "sampler": sampler, "pruner": pruner}
    try:
        return optuna.create_study(study_name=name, directions=list(directions), **parts), True
    except optuna.exceptions.DuplicatedStudyError:
        study = optuna.load_study(study_name=name, **parts)
    before = [direction.name.lower() for direction in study.directions]
    if before != list(directions):
        raise UserError(
            f"hydra.sweeper.study_name={name}: that study has the directions {', '.join(before)}, "
            f"not {', '.join(directions)}; take another study_name"
        )
    study.sampler.reseed_rng()
    return study, False


def made(section: Mapping[str, Any] | None, where: str) -> Any:
    """The sampler or pruner that the config section at `where` describes; None for none.

    Raises UserError where its class, an argument, or a package that it needs is not there.
    """
    if section is None:
        return None
    arguments = {key: _argument(value, where) for key, value in section.items()}
    target = str(arguments.pop("_target_", ""))
    module, _, name = target.rpartition(".")
    try:
        kind = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{where}._target_={target}: no such class") from error
    for package in _NEEDS.get(name, ()):
        if find_spec(package) is None:  # Optuna would notice only when it draws
            raise UserError(
                f"{where}: {name} needs the package {package}, which is not installed: "
                f"pip install {package}"
            )
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {name}: {error}") from error


def _argument(value: Any, where: str) -> Any:
    return made(value, where) if isinstance(value, Mapping) and "_target_" in value else value
