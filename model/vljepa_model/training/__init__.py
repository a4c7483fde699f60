"""Training of VL-JEPA: recipe, batches, optimiser and a loop that survives being killed."""
