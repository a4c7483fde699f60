"""Which settings run a bundle on this device as it is wanted: tried with real runs, most of them dropped early."""
