"""The legacy network controller: what nova-network of OpenStack's Folsom release did at its start.

Runs inside nodes; never knows the orchestrator, and never waits in order to look slow. See docs/paris.md for
what is reproduced.
"""
