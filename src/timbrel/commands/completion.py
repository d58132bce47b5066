"""Tab completion: `timbrel completion SHELL` installs it, `timbrel _complete LINE` answers it."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from timbrel.config.options import groups_of, stage_named
from timbrel.config.stage_schemas import STAGES
from timbrel.errors import UserError, did_you_mean
from timbrel.files import write_text

_BASH = """\
# timbrel: tab completion for bash
_timbrel() {
    local line=${COMP_LINE:0:COMP_POINT} word prefix=
    word=${line##*[[:space:]]}
    local IFS=$'\\n'
    COMPREPLY=($("$1" _complete "$line" 2>/dev/null))
    # readline splits words at = (and :), so it wants only what follows the last one
    [[ $COMP_WORDBREAKS == *=* && $word == *=* ]] && prefix=${word%"${word##*=}"}
    [[ $COMP_WORDBREAKS == *:* && ${word#"$prefix"} == *:* ]] && prefix=${word%"${word##*:}"}
    COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} != *[=./,] ]]; then compopt +o nospace; fi
} 2>/dev/null
complete -o nospace -o default -F _timbrel timbrel
"""

_ZSH = """\
#compdef timbrel
# timbrel: tab completion for zsh
_timbrel() {
    local -a candidates open closed
    candidates=("${(@f)$(${words[1]} _complete "${(j: :)words[1,CURRENT]}" 2>/dev/null)}")
    candidates=(${candidates:#})
    open=(${(M)candidates:#*[=./]})
    closed=(${candidates:#*[=./]})
    if (( ! ${#candidates} )); then compset -P '*='; _files; return; fi
    (( ${#open} )) && compadd -Q -S '' -- $open
    (( ${#closed} )) && compadd -Q -- $closed
}
if [[ $funcstack[1] == _timbrel ]]; then _timbrel "$@"; else compdef _timbrel timbrel; fi
"""

_FISH = """\
# timbrel: tab completion for fish
function __timbrel_complete
    set -l line (commandline -cp)
    set -l words (commandline -opc)
    $words[1] _complete "$line" 2>/dev/null
end
complete -c timbrel -f -a '(__timbrel_complete)'
set -l paths "(root|file|dir|put|model|run|reproduce|from)="
complete -c timbrel -n "string match -qr '$paths' -- (commandline -ct)" -F
"""

_PATH_KEYS = frozenset(
    {"run", "reproduce", "model", "init_from", "input", "output"}
    | {"data.root", "data.split_file", "data.cache_dir"}
)
_RUN_KEYS = frozenset({"run", "reproduce", "model", "init_from"})
_COMMANDS = ("ablate", "library", "compare")
_LIBRARY_FLAGS = {
    "list": ("--sort", "--csv", "--help"),
    "show": ("--help",),
    "presets": ("--help",),
    "compare": ("--output", "--help"),
}
_FLAGS = ("--help", "--cfg", "--multirun", "--info", "--resolve", "--package", "--config-dir")


def install(words: Sequence[str]) -> int:
    """Write the completion script of a shell to where it looks, or print it (`--print`)."""
    names = [word for word in words if not word.startswith("-")]
    scripts = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
    if len(names) != 1 or names[0] not in scripts:
        hint = did_you_mean(names[0], scripts) if names else ""
        raise UserError(f"timbrel completion {'|'.join(scripts)}: give one shell{hint}")
    shell = names[0]
    if "--print" in words:
        sys.stdout.write(scripts[shell])
        return 0
    data = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    file = {
        "bash": data / "bash-completion" / "completions" / "timbrel",
        "zsh": data / "zsh" / "site-functions" / "_timbrel",
        "fish": config / "fish" / "completions" / "timbrel.fish",
    }[shell]
    write_text(file, scripts[shell])
    then = {
        "bash": "Shells with bash-completion load it; in others put this line into ~/.bashrc:\n"
        f"  source {file}",
        "zsh": f"Put this line into ~/.zshrc, after compinit:\n  source {file}",
        "fish": "New shells load it.",
    }[shell]
    sys.stdout.write(f"wrote {file}\n{then}\n")
    return 0


def answer(words: Sequence[str]) -> int:
    """Print the candidates for the last word of a command line, one per line."""
    line = words[-1] if words else ""
    # A shell takes each literally, one per line: what would not survive that is left out.
    told = [candidate for candidate in candidates(line) if candidate.isprintable()]
    sys.stdout.write("".join(f"{candidate}\n" for candidate in told))
    return 0


def candidates(line: str) -> list[str]:
    """What may stand in place of the last word of `line`, which ends at the cursor."""
    words = line.split()
    word = "" if not line or line[-1].isspace() else words.pop()
    if len(words) <= 1:
        known = (*STAGES, *_COMMANDS, "completion")
        return sorted(name for name in known if name.startswith(word))
    command = words[1]
    if command == "completion":
        return [shell for shell in ("bash", "fish", "zsh") if shell.startswith(word)]
    if command in _COMMANDS:
        return _plain_command(command, words[2:], word)
    if command not in STAGES:
        return []
    if words[-1] == "--cfg":
        return [kind for kind in ("job", "hydra", "all") if kind.startswith(word)]
    if word.startswith("-"):
        return [flag for flag in _FLAGS if flag.startswith(word)]
    return _overrides(command, [text for text in words[2:] if "=" in text], word)


def _plain_command(command: str, before: list[str], word: str) -> list[str]:
    """Subcommands, flags and runs of `library` and `compare`; studies and keys of `ablate`."""
    if command == "ablate":
        return _ablate(before, word)
    if command == "library" and not before:
        return [name for name in _LIBRARY_FLAGS if name.startswith(word)]
    action = before[0] if command == "library" else command
    flags = _LIBRARY_FLAGS.get(action, ())
    if word.startswith("-"):
        return [flag for flag in flags if flag.startswith(word)]
    last = before[-1] if before else ""
    if last == "--sort":
        from timbrel.commands.library import sort_keys

        return [key for key in sort_keys() if key.startswith(word)]
    if last == "--output" or action not in ("show", "presets", "compare"):
        return []  # The shell completes files itself.
    return [run for run in _runs(word) if run not in before]


def _ablate(before: list[str], word: str) -> list[str]:
    """Studies, the command's own words, and every override of a training."""
    from timbrel.sweeps.study import study_names

    key, equals, value = word.partition("=")
    if word.startswith("-"):
        return [flag for flag in ("--help", "--plan") if flag.startswith(word)]
    if equals and key == "study":
        return [f"study={name}" for name in study_names() if name.startswith(value)]
    own = [name for name in ("jobs=", "study=") if name.startswith(word)]
    return own + _overrides("train", [text for text in before if _trains(text)], word)


def _trains(word: str) -> bool:
    return "=" in word and word.split("=")[0] not in ("study", "jobs", "launcher", "plan")


def _runs(word: str) -> list[str]:
    """Run folders and bundles that begin with `word`."""
    from timbrel.runs.finder import FOLDERS, find

    found = sorted(map(str, find([folder for folder in FOLDERS if folder.is_dir()])))
    return [run for run in found if run.startswith(word)]


def _overrides(stage: str, before: list[str], word: str) -> list[str]:
    """Groups, options and keys by Hydra's own completion, given the words before."""
    key, equals, value = word.partition("=")
    if equals and key in _RUN_KEYS and (runs := _runs(value)):
        return [f"{key}={run}" for run in runs]
    if equals and key in _PATH_KEYS:
        return []  # The shell completes files itself, with ~ and quoting.
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.plugins.completion_plugin import DefaultCompletionPlugin

    from timbrel.config.options import conf_folder
    from timbrel.stages.composing import register
    from timbrel.stages.overrides import quoted_texts, values_of

    if equals and (values := values_of(stage, key)):
        return [f"{key}={name}" for name in values if name.startswith(value)]
    register(stage)
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(conf_folder()), job_name=stage, version_base="1.3"):
        plugin = DefaultCompletionPlugin(GlobalHydra.instance().config_loader())
        line = " ".join([*quoted_texts(stage, before, multirun=True), word])
        found = plugin._query(config_name=stage, line=line if word else f"{line} ")
    groups = groups_of(stage)
    kept = []
    for candidate in found:
        name = candidate.split("=")[0].split(".")[0].split("/")[0].lstrip("+")
        of_hydra = name == "hydra" and word.lstrip("+").startswith("hydra")
        if candidate != word and (name in groups or of_hydra or _is_key(stage, name)):
            kept.append(candidate)
    return kept


def _is_key(stage: str, name: str) -> bool:
    return name in stage_named(stage).schema.__dataclass_fields__
