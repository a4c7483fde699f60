"""`rtsp://` and `http(s)://`: what carries the bytes, how a login is made, which kind of source an address gives."""
