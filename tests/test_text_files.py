"""No text file is read or written in the encoding of the user's locale."""

import ast
from pathlib import Path

import pytest

import timbrel

PACKAGE = Path(timbrel.__file__).parent
_TEXT = {"read_text": 0, "write_text": 1}  # how many arguments stand before the encoding


def _is_by_locale(call: ast.Call) -> bool:
    """Whether `call` opens a text, or the pipes of a process as text, without its encoding."""
    named = {keyword.arg for keyword in call.keywords}
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if "encoding" in named:
        return False
    if name in _TEXT:
        return len(call.args) <= _TEXT[name]
    if name in ("open", "fdopen", "NamedTemporaryFile"):
        words = [a.value for a in call.args if isinstance(a, ast.Constant)]
        mode = next((w for w in words if isinstance(w, str) and set(w) <= set("rwxatb+")), "")
        is_path = isinstance(call.func, ast.Attribute)  # a clip and a catalog have an `open` too
        is_text = bool(mode) or "newline" in named or not is_path
        return is_text and "b" not in mode and name != "NamedTemporaryFile"
    return bool(named & {"text", "universal_newlines"}) and name in ("run", "Popen", "check_output")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("path.read_text()", True),
        ("path.read_text('utf-8')", False),
        ("path.write_text(text)", True),
        ("path.open('w', newline='')", True),
        ("path.open('wb')", False),
        ("open(path)", True),
        ("subprocess.run(words, text=True)", True),
        ("clip.open()", False),
    ],
)
def test_what_goes_by_the_locale_is_known(line, expected):
    (call,) = (node for node in ast.walk(ast.parse(line)) if isinstance(node, ast.Call))
    assert _is_by_locale(call) is expected


def test_no_file_goes_by_the_locale():
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and _is_by_locale(node)
    ]
    assert found == []
