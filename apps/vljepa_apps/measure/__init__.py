"""What commands measure and how they lay it out: latency, comparisons, the paper's contest."""
