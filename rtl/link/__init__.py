"""Host link in hardware: frames, request executor, UART."""
