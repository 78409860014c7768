"""SkyWater 130 nm: the core as standard cells and memory macros, simulated and weighed."""
