from .clips import ClipFolder as ClipFolder
from .rule import Alert as Alert
from .rule import AlertFile as AlertFile
from .rule import read_alerts as read_alerts
from .watch import AlertChange as AlertChange
from .watch import AlertScorer as AlertScorer
from .watch import AlertWatch as AlertWatch
from .watch import watch_scores as watch_scores
