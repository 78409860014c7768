"""From a program to hardware: generation, simulation, verification, synthesis."""
