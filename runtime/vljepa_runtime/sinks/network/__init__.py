"""Receivers that may be away: what waits for them on disk, who delivers it, and what each of them speaks."""
