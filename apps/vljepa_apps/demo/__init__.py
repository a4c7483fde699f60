"""The demo: its stream with the ground truth, the run over it, and the report, picture and video that it leaves."""
