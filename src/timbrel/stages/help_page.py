"""`timbrel STAGE --help`: what it does, every choice with its options, every key with its value."""

import textwrap
from typing import Any

from omegaconf import DictConfig, OmegaConf

from timbrel.config.options import groups_of, stage_named
from timbrel.config.walk import leaves
from timbrel.errors import override_text
from timbrel.stages.overrides import schema_keys

_FLAGS = (
    ("--cfg job", "print the composed config and stop (--resolve: interpolations filled in)"),
    ("--multirun, -m", "one run per combination of comma-separated values, or a search (sweep=)"),
    ("--info defaults-tree", "which file of conf/ each part comes from"),
    ("--hydra-help", "Hydra's own flags and groups"),
)


def stage_page(stage: str, config: DictConfig) -> str:
    """The help page of `stage`, with the values that `config` holds."""
    about = stage_named(stage)
    lines = [f"timbrel {stage}: {about.summary}", "", f"  writes: {about.writes}", "", "Examples"]
    lines += [f"  timbrel {stage} {example}" for example in about.examples]
    groups = groups_of(stage)
    if groups:
        lines += ["", "Choices (GROUP=OPTION; the files are conf/GROUP/OPTION.yaml)"]
        width = max(map(len, groups))
        lines += [f"  {group:<{width}}  {', '.join(names)}" for group, names in groups.items()]
    lines += ["", "Keys (KEY=VALUE; the value shown holds unless you change it)"]
    keys = [
        (f"{key}={_shown(config, key)}", item.metadata.get("help", ""))
        for key, _, item in schema_keys(about.schema)
        if item.metadata
    ]
    lines += _columns(keys)
    inner = _pluggable(config)
    if inner:
        lines += ["", f"Keys of the options chosen (timbrel {stage} --cfg job shows them in place)"]
        lines += textwrap.wrap(
            " ".join(inner), 98, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
        )
    lines += ["", "Flags", *_columns(list(_FLAGS)), ""]
    return "\n".join(lines)


def _columns(rows: list[tuple[str, str]]) -> list[str]:
    width = min(34, max(len(left) for left, _ in rows))
    return [f"  {left:<{width}}  {right}".rstrip() for left, right in rows]


def _shown(config: DictConfig, key: str) -> str:
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    if OmegaConf.is_missing(node, name):
        return "???"
    value: Any = node[name]
    return override_text(OmegaConf.to_object(value) if OmegaConf.is_config(value) else value)


def _pluggable(config: DictConfig) -> list[str]:
    return [
        f"{key}={override_text(value)}"
        for section in ("architecture", "latent", "augmentation", "loss", "optimizer", "callbacks")
        if section in config
        for key, value in leaves(OmegaConf.to_container(config[section], resolve=False), section)
        if "_target_" not in f"{key}{value}" and not str(value).startswith("${") and value != {}
    ]
