"""The legacy network controller: what nova-network of OpenStack did, by release, at its start.

Runs inside nodes; never knows the orchestrator, and never waits in order to look slow. See docs/paris.md for
what is reproduced.
"""
