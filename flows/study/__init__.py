"""Studies: one program under many conditions."""
