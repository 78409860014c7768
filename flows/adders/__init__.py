"""The adder catalogue: what adders cost in silicon, how they err, and how new ones evolve."""
