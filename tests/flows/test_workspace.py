"""Outputs are complete or absent, and nobody else's folder is touched."""

import pytest

from lamina.flows.errors import UserError
from lamina.flows.workspace import (
    MARKER,
    read_settings,
    replaced_file,
    replaced_folder,
    workspace,
)


def everything(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_a_file_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "a" / "x.json"
    with replaced_file(target) as partial:
        partial.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert everything(tmp_path) == ["a", "x.json"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_failed_file_leaves_the_older_one(tmp_path, error):
    target = tmp_path / "x.json"
    target.write_text("old")
    with pytest.raises(error), replaced_file(target) as partial:
        partial.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert everything(tmp_path) == ["x.json"]


def test_a_failed_file_takes_its_new_parents_along(tmp_path):
    with pytest.raises(KeyboardInterrupt), replaced_file(tmp_path / "a" / "b" / "x.json"):
        raise KeyboardInterrupt
    assert everything(tmp_path) == []


def test_a_folder_in_place_of_the_file_is_refused(tmp_path):
    with (pytest.raises(UserError, match=rf"^{tmp_path}: output must be a file, not a folder$"),
          replaced_file(tmp_path)):
        pass


def test_a_folder_replaces_the_older_one_whole(tmp_path):
    target = tmp_path / "design"
    target.mkdir()
    (target / "stale.v").touch()
    with replaced_folder(target) as partial:
        (partial / "new.v").touch()
        assert everything(target) == ["stale.v"]
    assert everything(tmp_path) == ["design", "new.v"]


def test_a_failed_folder_leaves_the_older_one(tmp_path):
    target = tmp_path / "design"
    target.mkdir()
    (target / "old.v").touch()
    with pytest.raises(KeyboardInterrupt), replaced_folder(target) as partial:
        (partial / "half.v").touch()
        raise KeyboardInterrupt
    assert everything(tmp_path) == ["design", "old.v"]


def test_remains_of_a_killed_run_are_cleared(tmp_path):
    (tmp_path / ".design.partial").mkdir()
    (tmp_path / ".design.partial" / "half.v").touch()
    with replaced_folder(tmp_path / "design") as partial:
        (partial / "new.v").touch()
    assert everything(tmp_path) == ["design", "new.v"]


def test_a_workspace_keeps_its_settings(tmp_path):
    with workspace(tmp_path / "a" / "b", {"target": "icebreaker"}) as folder:
        (folder / "x").touch()
    assert read_settings(tmp_path / "a" / "b") == {"target": "icebreaker"}


def test_a_workspace_that_failed_at_once_vanishes(tmp_path):
    with pytest.raises(UserError, match=r"^no$"), workspace(tmp_path / "a" / "b", {}):
        raise UserError("no")
    assert everything(tmp_path) == []


def test_a_workspace_that_failed_later_can_be_taken_up_again(tmp_path):
    with pytest.raises(KeyboardInterrupt), workspace(tmp_path / "a", {"seed": 1}) as folder:
        (folder / "program").mkdir()
        raise KeyboardInterrupt
    assert read_settings(tmp_path / "a") == {"seed": 1}
    with workspace(tmp_path / "a", {"seed": 2}):
        pass
    assert read_settings(tmp_path / "a") == {"seed": 2}


def test_someone_elses_folder_is_refused(tmp_path):
    (tmp_path / "thesis.tex").touch()
    message = (rf"^{tmp_path}: output must be a new or empty folder or one of an earlier run, "
               r"not one that holds thesis.tex$")
    with pytest.raises(UserError, match=message), workspace(tmp_path, {}):
        pass
    assert everything(tmp_path) == ["thesis.tex"]


def test_a_file_in_place_of_the_workspace_is_refused(tmp_path):
    target = tmp_path / "x"
    target.touch()
    with (pytest.raises(UserError, match=rf"^{target}: output must be a folder, not a file$"),
          workspace(target, {})):
        pass


def test_settings_of_a_folder_without_any_are_empty(tmp_path):
    assert read_settings(tmp_path) == {}
    (tmp_path / "net.nir").touch()
    assert read_settings(tmp_path / "net.nir") == {}


def test_damaged_settings_are_refused(tmp_path):
    (tmp_path / MARKER).write_text("{")
    with pytest.raises(UserError, match=rf"^{tmp_path / MARKER}: must be JSON: Expecting .*$"):
        read_settings(tmp_path)
    (tmp_path / MARKER).write_text("[1]")
    with pytest.raises(UserError, match=rf"^{tmp_path / MARKER}: must hold a JSON object, "
                                        r"not \[1\]$"):
        read_settings(tmp_path)
