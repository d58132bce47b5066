"""Mistakes in overrides, reported before Hydra sees them, and Hydra's own errors in plain words.

Hydra accepts `+any=thing`, and answers a mistyped key with advice to append it; so keys and
choices are compared here with the schema and with the folders of `conf/`.
"""

import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from timbrel.config.options import groups_of, options, shadowed_options, stage_named
from timbrel.config.schema import in_open_section
from timbrel.config.stage_schemas import STAGES
from timbrel.errors import UserError, did_you_mean
from timbrel.paths import user_path
from timbrel.stages.group_choices import SWEEP, check_choice, check_not_null

RESUME_KEYS = ("run", "reproduce", "trust", "data_root", "device", "logger", "hydra")
_FOLDERS_OF_HYDRA = ("hydra.run.dir", "hydra.sweep.dir")

_OVERRIDE = re.compile(
    r"(?P<sign>\+\+|\+|~)?(?P<key>[^=@:]+)(?P<package>[@:][^=]*)?=(?P<value>.*)", re.S
)
_QUOTES = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
# Quoted for Hydra, once or with commas between; what merely begins with a quote is a name.
_QUOTED = re.compile(rf"{_QUOTES}(\s*,\s*{_QUOTES})*", re.S)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?\.?(inf|nan)", re.I)
_QUOTED_LIST = re.compile(rf"\[\s*{_QUOTES}(\s*,\s*{_QUOTES})*\s*\]", re.S)
# What takes a text or a list of texts is `Any` in the schema: OmegaConf has no type for it.
_TEXTS = (str, str | None, Any)
_LISTS = (list[str], Any)
_RESOLVER = re.compile(r"\$\{[\w.]+:")  # ${now:%H}: what Hydra's own folders are named by


def schema_keys(schema: type, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """`(dotted key, annotation, field)` of every leaf of a schema, in order."""
    hints = typing.get_type_hints(schema)
    for item in fields(schema):
        if is_dataclass(hints[item.name]):
            yield from schema_keys(hints[item.name], f"{prefix}{item.name}.")
        else:
            yield f"{prefix}{item.name}", hints[item.name], item


def text_keys(stage: str) -> list[str]:
    """The keys of `stage` that take a text, or a list of them."""
    kinds = schema_keys(stage_named(stage).schema)
    return [key for key, kind, _ in kinds if kind in (*_TEXTS, *_LISTS)]


def place_keys(stage: str) -> list[str]:
    """The keys of `stage` whose paths are kept from the root, as `data.root`."""
    keys = schema_keys(stage_named(stage).schema)
    return [key for key, _, item in keys if item.metadata.get("place")]


def by_own_name(override: str) -> str:
    """The override with the name that a schema can give its key: `from` is a word of Python's.

    >>> by_own_name("controls.from=voice.wav")
    'controls.follow=voice.wav'
    """
    return re.sub(r"^controls\.from=", "controls.follow=", override)


def quoted(value: str | Sequence[str]) -> str:
    """A text, or a list of them, as the command line takes it literally."""
    if isinstance(value, str):
        return f"'{_escaped(value)}'"
    return "[" + ",".join(map(quoted, value)) + "]"


def quoted_texts(stage: str, overrides: Sequence[str], *, multirun: bool) -> list[str]:
    """The overrides with every path, name and other text in quotes.

    So `~`, spaces, commas, apostrophes, umlauts and `${` survive the grammars of Hydra and
    OmegaConf: on the command line a text is never an interpolation. In a multirun, commas separate
    values unless the user quoted them.
    """
    kinds = {key: kind for key, kind, _ in schema_keys(stage_named(stage).schema)}
    texts = {key for key, kind in kinds.items() if kind in _TEXTS}
    either = {key for key, kind in kinds.items() if {str, float} <= {*typing.get_args(kind)}}
    found = []
    for override in overrides:
        key, _, value = override.partition("=")
        if key in _FOLDERS_OF_HYDRA and value and not _RESOLVER.search(value):
            folder = value if _QUOTED.fullmatch(value) else quoted(str(user_path(value, key)))
            found.append(f"{key}={_kept(folder)}")
            continue
        is_list = kinds.get(key) == list[str]
        if kinds.get(key) in _LISTS and re.fullmatch(r"\[[^\[\]'\"]+\]", value):
            found.append(f"{key}={quoted([text.strip() for text in value[1:-1].split(',')])}")
            continue
        # One folder, no list.
        is_text = key in texts | either or (is_list and re.match(r"[~/.]", value))
        if not is_text or value in ("", "null", "???"):
            found.append(f"{key}={_kept(value)}" if is_list else override)
            continue
        quoted_list = kinds.get(key) is Any and _QUOTED_LIST.fullmatch(value)
        if quoted_list or _QUOTED.fullmatch(value) or (multirun and SWEEP.match(value)):
            found.append(f"{key}={_kept(value)}")
            continue
        values = value.split(",") if multirun and value[:1] != "[" else [value]
        number = _NUMBER.fullmatch if key in either else lambda _: None
        found.append(f"{key}=" + ",".join(v if number(v) else quoted(v) for v in values))
    return found


def literal(value: Any) -> Any:
    """`value` for a config of OmegaConf's, where `${` would be taken for an interpolation.

    >>> literal(["take ${n}", 3])
    ['take \\\\${n}', 3]
    """
    if isinstance(value, Mapping):
        return {key: literal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [literal(item) for item in value]
    if not isinstance(value, str) or isinstance(value, Enum):
        return value
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", value)


def _kept(value: str) -> str:
    """What the user quoted for Hydra, every `${` that is not escaped yet with its backslash."""
    return re.sub(r"(?<!\\)\$\{", r"\\${", value)


def _escaped(text: str) -> str:
    text = literal(text)
    # Only backslashes before a quote (or the end) are special inside Hydra's quotes.
    return re.sub(r"(\\+)(?='|$)", r"\1\1", text).replace("'", "\\'")


def check_overrides(
    stage: str, overrides: Sequence[str], *, multirun: bool = False, folders: Sequence[Path] = ()
) -> None:
    """Refuse keys and choices that do not exist, with the nearest that do.

    `folders` are further config folders (`--config-dir`). Raises UserError.
    """
    for file in shadowed_options():
        raise UserError(
            f"./conf/{file.parent.name}/{file.name}: timbrel has another option of that name, "
            "which would be used instead; rename yours"
        )
    everywhere = options(*folders)
    given = {key for key, _, value in (o.partition("=") for o in overrides) if value != "null"}
    whole = [f"{key}=" for key in ("run", "reproduce") if key in given and stage == "train"]
    if len(whole) == 2:
        raise UserError("run=, reproduce=: one or the other: resume a run, or repeat one")
    for override in overrides:
        match = _OVERRIDE.fullmatch(override)
        if match is None:
            if override.startswith("~"):
                raise UserError(f"{override}: nothing can be deleted; set the key to null instead")
            raise UserError(f"{override}: an override is KEY=VALUE{_stage_hint(stage, override)}")
        sign, key, value = match["sign"] or "", match["key"], match["value"]
        if key.split(".")[0].split("/")[0] == "hydra":
            if "." not in key:
                check_not_null(override, key, value)
            continue
        if sign == "~":
            raise UserError(f"{override}: nothing can be deleted; set the key to null instead")
        if whole and key.split(".")[0] not in RESUME_KEYS:
            does = "goes on with" if whole == ["run="] else "takes"
            moved = "; for recordings that moved: data_root=FOLDER" if key == "data.root" else ""
            raise UserError(
                f"{override}: {whole[0]} {does} the run's own config, where only device and logger "
                f"may change; leave it out, or start a new run without {whole[0]}{moved}"
            )
        if key in everywhere:
            check_choice(stage, sign, key, value, everywhere, multirun=multirun, folders=folders)
        else:
            _check_key(stage, sign, key, folders)


def _stage_hint(stage: str, word: str) -> str:
    if word in STAGES:
        return f"; one stage at a time: 'timbrel {word} ...'"
    keys = [key for key, _, _ in schema_keys(stage_named(stage).schema)]
    return did_you_mean(f"{word}=", [f"{key}=" for key in keys])


def _check_key(stage: str, sign: str, key: str, folders: Sequence[Path]) -> None:
    schema = stage_named(stage).schema
    known = [name for name, _, _ in schema_keys(schema)]
    sections = {name.split(".")[0] for name in known}
    if key in known or (in_open_section(key) and key.split(".")[0] in sections):
        if sign and key in known:
            raise UserError(f"{sign}{key}: the key exists; write {key}=..., without the {sign}")
        return
    inside = [name for name in known if name.startswith(f"{key}.")]
    groups = groups_of(stage, *folders)
    if inside:
        raise UserError(f"{key}: a section, not a value; set one of {', '.join(inside)}")
    raise UserError(f"{sign}{key}: no such key{_nearest(key, known, groups)}")


def _nearest(key: str, known: Sequence[str], groups: Iterable[str] = ()) -> str:
    """A hint at the key of the same name in another section, else at one spelt like it."""
    leaf = key.rpartition(".")[2]
    alike = [name for name in known if name.rpartition(".")[2] == leaf]
    return f"; did you mean '{alike[0]}'?" if alike else did_you_mean(key, [*known, *groups])


def expected(stage: str, key: str) -> str:
    """What a key takes, in words: `a number`, `one of auto, cpu, cuda, mps`."""
    for name, annotation, _ in schema_keys(stage_named(stage).schema):
        if name == key:
            return _in_words(annotation)
    return "another type of value"


def _in_words(annotation: Any) -> str:
    if isinstance(annotation, types.UnionType):
        inner = [part for part in annotation.__args__ if part is not type(None)]
        if float in inner:  # which takes whole numbers as well
            inner = [part for part in inner if part is not int]
        return f"{', '.join(map(_in_words, inner))} or null"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "one of " + ", ".join(member.name for member in annotation)
    if typing.get_origin(annotation) is list:
        return (
            "a list such as [" + ("0.8,0.99" if float in annotation.__args__ else "one,two") + "]"
        )
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return names.get(annotation, "a mapping")


def retold(
    stage: str,
    error: BaseException,
    overrides: Sequence[str],
    open_keys: Callable[[], Sequence[str]] = tuple,
) -> str | None:
    """One message for an error of Hydra's or OmegaConf's; None where it is not theirs.

    `open_keys` lists the keys of the pluggable sections, asked for only where one is unknown.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import MarkedYAMLError

    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{mark.name}: line {mark.line + 1}: {error.problem or 'not YAML'}; mend the file"
    if not isinstance(error, HydraException | OmegaConfBaseException):
        return None
    # The innermost error knows the key; the outer ones know the file.
    texts = []
    cause: BaseException | None = error
    while cause is not None:
        texts.append(str(cause).strip())
        if isinstance(cause, OmegaConfBaseException):
            break
        cause = cause.__cause__ or cause.__context__
    whole = "\n".join(texts)
    element = re.search(r"object_type=(\w+)", whole)
    if element and (listed := _listed(stage, element[1])):
        return _in_a_list(whole, *listed)
    file = re.search(r"In '([^']+)': ", whole)
    where = f"{file[1]}.yaml: " if file else ""
    full_key = re.search(r"full_key: (\S+)", whole)
    key = full_key[1] if full_key else ""
    if re.search(r"not in struct|Key '.*' not in '", whole):
        return where + _unknown(stage, key, open_keys)
    if key and re.search(
        r"could not be converted|Invalid (type|value)|not Optional|is not a", whole
    ):
        given = next((f"={o.split('=', 1)[1]}" for o in overrides if o.split("=")[0] == key), "")
        value = re.search(r"[Vv]alue '([^']*)'", whole)
        given = given or (f"={value[1]}" if value else "")
        return f"{where}{key}{given}: expected {expected(stage, key)}"
    if "--multirun" in whole:
        line = re.search(r"(?:argument|parameters) '(.*?)'\s*(?:requires|$)", whole, re.M)
        override = line[1] if line else ""
        return (
            f"{override}: several values need --multirun (for a list write "
            f"{override.split('=')[0]}=[...], for text with a comma put it in quotes)"
        )
    if re.search(r"expecting|token recognition|no viable|extraneous|missing ", texts[0]):
        line = next((o for o in overrides if o in whole), "") or getattr(error, "override", "")
        key, _, value = line.partition("=")
        return f"{line}: not understood; put the value in quotes: \"{key}='{value}'\""
    if "LexerNoViableAlt" in whole or "parsing override" in whole:
        return where + whole.splitlines()[0]
    lines = [line.strip() for line in whole.splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("full_key", "object_type", "reference"))]
    return " ".join(kept[:4]) or type(error).__name__


def _listed(stage: str, kind: str) -> tuple[str, type] | None:
    """The key whose value is a list of the schema's class called `kind`, and that class."""
    for key, annotation, _ in schema_keys(stage_named(stage).schema):
        for item in typing.get_args(annotation):
            if is_dataclass(item) and getattr(item, "__name__", "") == kind:
                return key, typing.cast(type, item)
    return None


def _in_a_list(whole: str, key: str, kind: type) -> str:
    """What is wrong with one of the mappings in the list at `key`."""
    hints = typing.get_type_hints(kind)
    full_key = re.search(r"full_key: (?:\S*\.)?(\w+)", whole)
    name = full_key[1] if full_key else ""
    if name not in hints:
        return f"{key}: no '{name}' in one of them, only {', '.join(hints)}" + did_you_mean(
            name, hints
        )
    value = re.search(r"[Vv]alue '([^']*)'", whole)
    return f"{key}: {name}{f'={value[1]}' if value else ''}: expected {_in_words(hints[name])}"


def _unknown(stage: str, key: str, open_keys: Callable[[], Sequence[str]]) -> str:
    if in_open_section(key):
        hint = did_you_mean(key, open_keys())
        otherwise = f"; +{key}=... sets an argument that its YAML leaves out"
        return f"{key}: no such key{hint or otherwise}"
    known = [name for name, _, _ in schema_keys(stage_named(stage).schema)]
    return f"{key}: no such key{_nearest(key, known)}"


def values_of(stage: str, key: str) -> list[str]:
    """The values a key can take, where they are few: an enumeration's names, true and false."""
    for name, annotation, _ in schema_keys(stage_named(stage).schema):
        if name == key and isinstance(annotation, type) and issubclass(annotation, Enum):
            return [member.name for member in annotation]
        if name == key and annotation in (bool, bool | None):
            return ["true", "false"]
    return []
