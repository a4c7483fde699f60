"""Containers that end, from a disk or a server: every picture in order, with times as a player counts them."""
