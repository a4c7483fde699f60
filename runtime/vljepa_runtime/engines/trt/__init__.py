"""What TensorRT and TensorRT for RTX share: recipes, building, the cache of built engines, and running them.

The two libraries have one interface; `library.py` is the only place that knows which is which.
"""
