"""Executors that fail say so in one line."""

import pytest

from lamina.flows.backend.simulate import SimulationError
from lamina.flows.errors import UserError
from lamina.flows.execute import simulating


@pytest.mark.parametrize(("log", "told"), [
    ("start\n  x.LinkError: HELLO was not answered\nTESTS=1 FAIL=1\n",
     "x.LinkError: HELLO was not answered"),
    ("make: *** no rule\n\n", "make: *** no rule"),
])
def test_a_failed_simulation_is_one_line(log, told):
    with pytest.raises(UserError) as caught, simulating():
        raise SimulationError(log)
    assert str(caught.value) == f"the simulation failed: {told}"


def test_other_errors_pass():
    with pytest.raises(KeyError, match=r"^'x'$"), simulating():
        raise KeyError("x")
