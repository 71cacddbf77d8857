"""The embedded runtime: nodes are namespaces on this machine, without a container engine.

Knows the launcher, mounts and namespaces; never knows roles, faults or scenarios.
"""
