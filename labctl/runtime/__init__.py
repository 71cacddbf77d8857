"""Runs definitions as labs: implementations of :class:`labctl.lab.runtime.Runtime`.

They know definitions, namespaces and containers; they never know why a node starts or stops.
"""
