from .group import SessionGroup as SessionGroup
from .statistics import StreamStats as StreamStats
