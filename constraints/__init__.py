"""Data: pins, clocks and board descriptions."""
