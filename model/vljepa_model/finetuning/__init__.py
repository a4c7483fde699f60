"""Fine-tuning of a checkpoint on annotated videos: recipe, batches, feature cache, and a loop to resume."""
