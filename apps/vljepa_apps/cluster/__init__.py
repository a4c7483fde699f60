"""Work on many machines: a cluster, units of work of which each result counts once, and who does them."""
