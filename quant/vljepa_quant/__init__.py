"""Quantisation of exported ONNX graphs: named recipes, and the editor they are written with.

from vljepa_quant import recipe
small = recipe("int8").apply(onnx.load("x_encoder.onnx"))
"""

from __future__ import annotations

from vljepa_quant.errors import QuantError
from vljepa_quant.int8 import quantise_int8
from vljepa_quant.recipes import RECIPES, Recipe, recipe

__all__ = ["RECIPES", "QuantError", "Recipe", "quantise_int8", "recipe"]
