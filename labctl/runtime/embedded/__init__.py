"""The embedded runtime: nodes are namespaces on this machine, without a container engine."""
