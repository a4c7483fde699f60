from .checking import check_graphs as check_graphs
