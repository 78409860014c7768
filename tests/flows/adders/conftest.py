"""A toy cell library, and the real one where it is installed."""

import pathlib

import pytest

from lamina.flows.adders.characterise import find_library
from lamina.flows.errors import UserError

TOY = pathlib.Path(__file__).with_name("toy.lib")


@pytest.fixture
def toy():
    """Path of a library with a NAND and an inverter."""
    return TOY


@pytest.fixture
def library():
    """Path of the library of SkyWater 130 nm."""
    try:
        return find_library()
    except UserError as error:
        pytest.skip(str(error))
