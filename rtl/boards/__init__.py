"""Board tops: pins, clocks and the host link around a core."""
