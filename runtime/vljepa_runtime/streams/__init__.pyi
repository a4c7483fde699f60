from .group import SessionGroup as SessionGroup
from .naming import stream_names as stream_names
from .statistics import StreamStats as StreamStats
