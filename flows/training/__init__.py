"""Training for the hardware: weights on a grid, integer leaks, all reset rules; needs torch."""
