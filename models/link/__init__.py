"""Host link: frames, the device model and the driver (bytes in, bytes out, no I/O)."""
