"""Ground floor: integer semantics, golden models, costs and the host driver (NumPy only)."""
