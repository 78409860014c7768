"""Hand-off to a shuttle: everything that its submission repository holds."""
