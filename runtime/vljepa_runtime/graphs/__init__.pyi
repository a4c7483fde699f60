from .checking import CheckedGraph as CheckedGraph
from .checking import check_graphs as check_graphs
from .checking import checked_graph as checked_graph
from .checking import feed_shapes as feed_shapes
from .checking import graph_limit as graph_limit
