"""A comparison as one page that needs nothing else: charts, tables, confusions, clips; measures nothing."""

from vljepa_apps.measure.compare.html.page import page

__all__ = ["page"]
