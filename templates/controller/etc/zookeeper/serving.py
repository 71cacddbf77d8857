"""Exits 0 while this ZooKeeper server serves (it leads, or follows a leader), else says what it does."""

import socket
import sys

try:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=1) as link:
        link.sendall(b"srvr")
        said = b"".join(iter(lambda: link.recv(4096), b"")).decode(errors="replace")
except OSError:
    sys.exit("zookeeper does not answer yet")
sys.exit(0 if "\nMode:" in said else "zookeeper has no leader yet")
