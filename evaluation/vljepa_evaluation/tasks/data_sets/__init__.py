"""Tasks on annotated clips and pictures: one file for each kind of question, and `run.py`, which asks them."""

__all__: list[str] = []
