"""Completion of the command's words in bash, zsh and fish: subcommands, options, flows, parameters, choices, datasets.

The shell's script gives the words before the cursor to `starloom complete --`, which answers from a file.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import galaxy
from flows.cli.completion_table import LABEL, Table

_BASH = """\
_starloom() {
    local IFS=$'\\n' word="${COMP_WORDS[COMP_CWORD]}" before=""
    COMPREPLY=($(starloom complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
    # Where = parts words, bash replaces only what follows it.
    if [[ $COMP_WORDBREAKS == *=* && ( $word == "=" || ${COMP_WORDS[COMP_CWORD-1]} == "=" ) ]]; then
        COMPREPLY=("${COMPREPLY[@]#*=}")
    fi
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -o default -F _starloom starloom
"""
_ZSH = """\
#compdef starloom
_starloom() {
    local -a found
    found=(${(f)"$(starloom complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    if (( ! ${#found} )); then
        _files
        return
    fi
    compadd -Q -S '' -- ${(M)found:#*=}
    compadd -Q -- ${found:#*=}
}
compdef _starloom starloom
"""
_FISH = """\
function __starloom_complete
    set -l words (commandline -opc)
    set -e words[1]
    set -l word (commandline -ct)
    starloom complete -- $words "$word" 2>/dev/null
end
complete -c starloom -f -a '(__starloom_complete)'
complete -c starloom -l workspace -r -F
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def candidates(
    words: Sequence[str], commands: dict[str, argparse.ArgumentParser], table: Table, root: Path
) -> list[str]:
    """Return what the last of the words may become, in order; empty where it is not for this command to say.

    Parameters
    ----------
    words : sequence of str
        Words after `starloom`, up to the cursor; the last is the one to complete, and may be empty.
    commands : dict of str to ArgumentParser
        The subcommands.
    table : dict
        Parameters and choices (`completion_table`).
    root : Path
        The workspace, whose datasets are offered, unless the words name another.
    """
    *before, word = join_at_equals(words) or [""]
    if before[-1:] == ["--workspace"]:
        return []
    if "--workspace" in before:
        root = Path(before[before.index("--workspace") + 1])
    command = next((name for name in before if name in commands), None)
    if command is None:
        valid = [*commands, *_options(None)]
    elif word.startswith("-"):
        valid = _options(commands[command])
    else:
        valid = _values(command, before[before.index(command) + 1 :], word, table, root)
    return [one for one in valid if one.startswith(word)]


def _values(command: str, before: Sequence[str], word: str, table: Table, root: Path) -> list[str]:
    """Return the arguments, or the parameters after ``-p``, that a subcommand takes after the words `before`."""
    argument = LABEL if command == LABEL else _argument(before)
    if before[-1:] == ["-p"]:
        return _pairs(table.get(argument or "", {}), word, root)
    if argument is not None:
        return ["-p"] if command in ("run", LABEL) else []
    first = {"run": [name for name in table if name != LABEL], "verify": _datasets(root), "completion": list(SCRIPTS)}
    return first.get(command, [])


def _argument(words: Sequence[str]) -> str | None:
    """Return the first word that is neither an option nor an option's value."""
    values = (after for option, after in zip(["", *words], words, strict=False) if option not in ("-p", "--workspace"))
    return next((word for word in values if not word.startswith("-")), None)


def join_at_equals(words: Sequence[str]) -> list[str]:
    """Return the words with those joined again that bash parted at ``=``."""
    joined: list[str] = []
    follows = False
    for word in words:
        if joined and (follows or word == "=") and joined[-1][:1] not in ("", "-"):
            joined[-1] += word
        else:
            joined.append(word)
        follows = word == "="
    return joined


def _pairs(parameters: dict[str, list[str]], word: str, root: Path) -> list[str]:
    """Return ``name=`` of every parameter, or ``name=value`` of every choice once the name is written."""
    name, equals, _ = word.partition("=")
    if not equals:
        return [f"{parameter}=" for parameter in parameters]
    named = {"scheme": _schemes, "test_dataset": lambda: _datasets(root), "dataset": lambda: _datasets(root)}
    values = named[name]() if name in named else parameters.get(name, [])
    return [f"{name}={value}" for value in values]


def _datasets(root: Path) -> list[str]:
    return sorted(path.parent.name for path in root.glob("datasets/*/CURRENT"))


def _schemes() -> list[str]:
    return sorted(path.stem for folder in galaxy.__path__ for path in Path(folder).glob("schemes/*.toml"))


def _options(parser: argparse.ArgumentParser | None) -> list[str]:
    """Return the options of a subcommand, as its help has them; without one those of the command itself."""
    if parser is None:
        return ["--help", "--version", "--workspace"]
    return ["--help", *dict.fromkeys(re.findall(r"(?<![\w-])(?:--[a-z][a-z-]*|-p)(?!\w)", parser.format_usage()))]
