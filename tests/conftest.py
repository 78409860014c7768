"""Fixtures of all tests: mutants of a module."""

import inspect
import types

import pytest


@pytest.fixture
def mutant():
    """Function ``(module, old, new) -> module``: a copy of a module with one place changed.

    `old` must occur exactly once in its source, so that no mutant is the original.
    """

    def change(module: types.ModuleType, old: str, new: str) -> types.ModuleType:
        source = inspect.getsource(module)
        assert source.count(old) == 1, f"{old!r} occurs {source.count(old)} times in {module}"
        copy = types.ModuleType(module.__name__)
        exec(compile(source.replace(old, new), f"{module.__file__}, mutant", "exec"), vars(copy))
        return copy

    return change
