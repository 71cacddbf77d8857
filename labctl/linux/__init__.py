"""The operating-system layer: netlink, namespaces, syscalls, processes, libbpf. Knows nothing of labs."""
