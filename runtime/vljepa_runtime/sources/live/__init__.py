"""What goes on without end: the newest frame counts, waits end by the clock, a lost connection is tried again."""
