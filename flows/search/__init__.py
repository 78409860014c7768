"""The search for adders and tier modes: least energy for least loss."""
