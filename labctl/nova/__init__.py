"""The legacy network controller: what nova-network of OpenStack's Folsom release did at its start.

Runs inside nodes and knows nothing of the orchestrator. See docs/paris.md for what is reproduced.
"""
