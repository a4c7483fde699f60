"""How good is it. NumPy only, no torch.

`vljepa_evaluation.metrics`: numbers only; arrays, texts and times in, scores with their intervals out.
`vljepa_evaluation.tasks`: what a model is asked of the procedural world, or of clips of one's own, with the truth.
`vljepa_evaluation.gates`: a bundle against what the float model gave, and what it may lose.
`vljepa_evaluation.boundaries`: where the events of a stream end, for selection to see.
`vljepa_evaluation.novelty`: what a model knows, so that it can say where it knows nothing.
"""

__all__: list[str] = []
