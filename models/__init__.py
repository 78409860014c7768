"""Ground floor: integer semantics, golden models, cost functions and the host driver (NumPy only)."""
