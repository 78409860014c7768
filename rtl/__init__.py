"""Hardware in Amaranth; takes numbers from :mod:`lamina.models.config` only."""
