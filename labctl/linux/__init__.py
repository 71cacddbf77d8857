"""The operating-system layer: netlink, namespaces, syscalls, processes, libbpf. Knows no labs."""
