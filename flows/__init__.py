"""Everything that starts tools, reads user files or prints; the Python API of the command line."""
