"""What a lab is: frozen data without I/O."""

from labctl.model.lab import Endpoint, Interface, Lab, LinkPlan, NodePlan

__all__ = ["Endpoint", "Interface", "Lab", "LinkPlan", "NodePlan"]
