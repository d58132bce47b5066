"""The checker of annotations (tests/conftest.py): beartype, to which an int is a fine float."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
