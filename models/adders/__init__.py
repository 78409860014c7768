"""Exact and approximate adders: what they are called, what they compute, how far they err."""
