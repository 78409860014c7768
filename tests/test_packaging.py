"""A wheel holds every subpackage and every data file, and its metadata is complete."""

import pathlib
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FLOORS = ("models", "rtl", "tb", "flows", "constraints")
DATA = {".html", ".json", ".lpf", ".net", ".pcf", ".py", ".sdc", ".sv", ".toml", ".v", ".vlt"}


def sources():
    """What a wheel must hold, as paths under ``lamina/``."""
    return {f"lamina/{path.relative_to(ROOT).as_posix()}" for floor in FLOORS
            for path in (ROOT / floor).rglob("*") if path.suffix in DATA}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the tree, so that no build folder is left behind."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in (*FLOORS, "pyproject.toml", "README.md", "LICENSE"):
        (tree / name).symlink_to(ROOT / name)
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps",
                    "--wheel-dir", str(out), str(tree)], check=True)
    return zipfile.ZipFile(next(out.glob("lamina-*.whl")))


def test_data_files_exist():
    assert any(name.endswith(".html") for name in sources())


@pytest.mark.long
def test_the_wheel_holds_everything(wheel):
    held = set(wheel.namelist())
    assert sources() <= held, sources() - held


@pytest.mark.long
def test_the_wheel_runs_unpacked(wheel, tmp_path):
    wheel.extractall(tmp_path)
    program = "import lamina.flows.cli, lamina.models.config as c; print(c.__file__)"
    done = subprocess.run([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, "
                           f"{str(tmp_path)!r}); sys.meta_path[:] = [finder for finder in "
                           f"sys.meta_path if 'editable' not in repr(finder)]; {program}"],
                          capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(tmp_path))


@pytest.mark.long
def test_the_wheel_has_the_console_command(wheel):
    entry = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "lamina = lamina.flows.cli:main" in wheel.read(entry).decode()
