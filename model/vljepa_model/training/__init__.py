"""Training of VL-JEPA on the procedural world: recipe, batches, objective and optimiser."""
