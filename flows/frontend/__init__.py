"""From a network file and data to a program: reading, float reference, quantisation."""
