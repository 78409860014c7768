"""The floors of the house, held on the syntax tree of every module."""

import ast
import pathlib
import sys
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FLOORS = ("models", "rtl", "tb", "flows", "constraints")
ALLOWED = {
    "models": ("lamina.models",),
    "rtl": ("lamina.rtl", "lamina.models.config", "lamina.models.check",
            "lamina.models.adders.spec", "lamina.models.fabric.config"),
    "tb": ("lamina.tb", "lamina.models"),
    "flows": ("lamina.flows", "lamina.models", "lamina.rtl", "lamina.constraints"),
    "constraints": ("lamina.constraints",),
}
FOREIGN = {"models": {"numpy"}, "rtl": {"amaranth"}, "constraints": set()}
MODULES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))
LISTED = [path for path in MODULES if not path.name.startswith(("__init__", "bench_"))]
"""Modules that say what they offer; of a bench the simulator takes every test."""
SOURCES = sorted({*MODULES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "examples").rglob("*.py"),
                  *(ROOT / "benchmarks").rglob("*.py")})


def names(path):
    return str(path.relative_to(ROOT))


def imports(path):
    """Absolute names of what a module imports, ``package.module`` for from-imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{names(path)}: relative import in line {node.lineno}"
            if node.module == "lamina":
                yield from (f"lamina.{alias.name}" for alias in node.names)
            else:
                yield node.module


def test_every_floor_has_modules():
    assert {path.relative_to(ROOT).parts[0] for path in MODULES} == set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=names)
def test_a_floor_sees_only_the_floors_below(path):
    allowed = ALLOWED[path.relative_to(ROOT).parts[0]]
    for name in imports(path):
        if name.partition(".")[0] == "lamina":
            assert any(name == room or name.startswith(f"{room}.") for room in allowed), name


@pytest.mark.parametrize("path", MODULES, ids=names)
def test_the_lower_floors_import_no_foreign_packages(path):
    foreign = FOREIGN.get(path.relative_to(ROOT).parts[0])
    for name in imports(path):
        package = name.partition(".")[0]
        if foreign is not None and package != "lamina":
            assert package in sys.stdlib_module_names or package in foreign, name


@pytest.mark.parametrize("path", SOURCES, ids=names)
def test_floors_are_never_imported_bare(path):
    assert not [name for name in imports(path) if name.partition(".")[0] in FLOORS]


@pytest.mark.parametrize("path", LISTED, ids=names)
def test_every_module_lists_its_names_and_has_a_docstring(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "no docstring"
    targets = [target.id for node in tree.body if isinstance(node, ast.Assign)
               for target in node.targets if isinstance(target, ast.Name)]
    assert "__all__" in targets


def test_every_package_is_listed():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {".".join(("lamina", *path.parent.relative_to(ROOT).parts)) for path in MODULES}
    assert sorted(found) == sorted(listed)


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES}), ids=names)
def test_every_package_has_an_init_file(folder):
    assert (folder / "__init__.py").is_file()
