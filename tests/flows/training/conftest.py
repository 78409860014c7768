"""Fixtures of the training tests."""

import re

import pytest

from lamina.flows.errors import UserError


@pytest.fixture
def refused():
    """Function ``refused(message)``: a context that expects exactly this one-line UserError."""
    def expect(message):
        return pytest.raises(UserError, match=f"^{re.escape(message)}$")
    return expect
