"""Fine-tuning of a checkpoint on annotated videos: recipe, batches, objective and a cache of features."""
