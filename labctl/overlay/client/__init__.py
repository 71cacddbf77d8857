"""The operator's side of the overlay: operations on a running lab's virtual networks, and packet traces.

Knows labs and enters their nodes' namespaces; parses no command line and prints nothing. The command line and
scenarios use it alike. None of it runs inside nodes.
"""
