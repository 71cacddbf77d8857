"""The data of a planned lab: frozen, without I/O.

Knows nodes, links, addresses and routing; never knows files, templates, runtimes or faults.
"""

from labctl.model.lab import Endpoint, Interface, Lab, LinkPlan, NodePlan

__all__ = ["Endpoint", "Interface", "Lab", "LinkPlan", "NodePlan"]
