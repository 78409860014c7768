"""Networks on meshes: division, places, pictures."""
