# %% [markdown]
# # From a trained network to verified hardware, in Python
#
# The steps of the command line as functions. Run the cells in an editor that knows `# %%`, or all
# of them by `python examples/walkthrough.py`; results appear in `out/walkthrough`.

# %%
"""Notebook-style tour: compile, run, generate, verify and report the digits network."""

import dataclasses
import pathlib

import numpy as np

from lamina.flows import steps
from lamina.flows.frontend.data import load_data
from lamina.models.decoder import decode
from lamina.models.network import run, sops_per_sample
from lamina.models.program import Program

here = pathlib.Path(__file__).parent
options = steps.Options(net=here / "digits.nir", out=pathlib.Path("out/walkthrough"),
                        target="icebreaker", data="digits", samples=5)

# %% [markdown]
# ## Compile
# NIR file to integers; what the file leaves open is read from its metadata, and printed.

# %%
compiled = steps.compile_network(options)
quantisation = compiled.result["quantisation"]
print(f"wrote {compiled.path}")
for figure in ("weight_bits", "state_bits", "acc_bits"):
    print(f"{figure:17} {quantisation[figure]}")
for figure in ("float_accuracy", "integer_accuracy", "agreement"):
    print(f"{figure:17} {quantisation[figure]:.2%}")

# %% [markdown]
# ## Run the golden model
# A program is plain integers: look inside, change it, run it on your own spikes.

# %%
program = Program.load(compiled.path)
data = load_data("digits")
spikes = data.encoded(program)
trace = run(program, spikes, quantisation["tiers"], trace=True)
predictions = decode(program.decoding, trace.spikes, trace.membranes)
for layer, fired in zip(program.layers, trace.layer_spikes, strict=True):
    print(f"{layer.name}: {layer.axons} x {layer.neurons} weights in {layer.weights.min()}.."
          f"{layer.weights.max()}, {fired.sum(axis=2).mean():.1f} spikes per timestep")
print(f"{np.mean(predictions == data.labels):.2%} of {len(data)} held-out digits, "
      f"{sops_per_sample(program, trace).mean():.0f} synaptic operations each")

# %% [markdown]
# ## What a narrower memory would cost
# The lowest of the four weight tiers off: six bits of each weight are left.

# %%
gated = dataclasses.replace(program, gated_tiers=1)
gated_trace = run(gated, spikes, quantisation["tiers"])
guesses = decode(gated.decoding, gated_trace.spikes, gated_trace.membranes)
print(f"last tier gated: {np.mean(guesses == data.labels):.2%}")

# %% [markdown]
# ## Generate and verify
# Later steps go on from the folder that the first one wrote. The hardware is simulated from its
# generated Verilog and driven over its host link, like a board.

# %%
options = dataclasses.replace(options, net=compiled.path.parent)
design = steps.generate(options)
print(f"wrote {', '.join(design.result['files'])} in {design.path}")

# %%
checked = steps.verify(options)
for figure in ("samples", "events_compared", "membranes_compared", "mismatches",
               "cycles_per_sample"):
    print(f"{figure:18} {checked.result[figure]}")

# %% [markdown]
# ## Report
# `steps.synth(options)` would add the bitstream; it takes a few minutes the first time.

# %%
print(f"wrote {steps.report(options).path}")
