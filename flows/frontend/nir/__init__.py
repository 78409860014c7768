"""NIR files: read tolerantly, judged, discretised, folded to layers, written."""
