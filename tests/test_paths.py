"""Paths of users: home folder, working folder, and what is refused."""

import os
from pathlib import Path

import pytest

from timbrel.errors import UserError
from timbrel.paths import absolute_path, user_path


def test_home_is_where_the_shell_has_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/kicks", "data.root") == tmp_path / "kicks"
    assert user_path("kicks", "data.root") == Path("kicks")


def test_a_tilde_of_nobody_is_a_folder_of_that_name(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"data\.root=~old.x: there is no user 'old' here, and no"):
        user_path("~old/x", "data.root")
    Path("~old", "x").mkdir(parents=True)
    found = user_path("~old/x", "data.root")
    assert found == tmp_path / "~old" / "x"
    assert found.expanduser() == found  # whoever expands it again means the same


@pytest.mark.parametrize("text", ["k" * 256, "録" * 86, "/".join(["k" * 200] * 21)])
def test_what_no_file_system_holds_is_told_in_one_line(text: str) -> None:
    with pytest.raises(UserError, match=r"^output=.{60}\.\.\.: a file system takes names of 255"):
        user_path(text, "output")


@pytest.mark.parametrize("text", ["", "a\0b"])
def test_no_path_at_all(text: str) -> None:
    with pytest.raises(UserError, match=r"^run="):
        user_path(text, "run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_a_folder_that_may_not_be_entered(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(UserError, match="cannot be read: Permission denied"):
        user_path(tmp_path / "closed" / "kicks", "data.root")


def test_from_the_root_it_means_the_same_everywhere(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "disk" / "kicks").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(tmp_path / "disk" / "kicks")
    monkeypatch.chdir(tmp_path / "here")
    assert absolute_path("link", "data.root") == tmp_path / "here" / "link"  # it may lead elsewhere
    assert absolute_path("../disk/kicks", "data.root") == tmp_path / "disk" / "kicks"
    assert absolute_path("link/..", "data.root") == tmp_path / "disk"
