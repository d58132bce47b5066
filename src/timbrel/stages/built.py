"""Objects from config sections: the only call of Hydra's `instantiate`. Imports no torch itself."""

from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from timbrel.errors import UserError


def built(section: DictConfig | dict[str, Any], name: str) -> Any:
    """What `section` describes. A value that its parts refuse is a UserError naming `name`."""
    try:
        return instantiate(section, _convert_="all")
    except Exception as error:
        cause = error.__cause__ if isinstance(error.__cause__, ValueError | UserError) else error
        if isinstance(cause, ValueError | UserError):
            raise UserError(f"{name}: {cause}") from error
        raise


def built_of_others(section: dict[str, Any], name: str) -> Any:
    """As `built`, for classes that are not timbrel's: whatever they raise is a UserError."""
    try:
        return instantiate(section, _convert_="all")
    except Exception as error:
        cause = error.__cause__ or error
        told = str(cause) if isinstance(cause, ValueError | UserError) else None
        raise UserError(f"{name}: {told or f'{type(cause).__name__}: {cause}'}") from error
