"""The agent of a compute host or gateway: simulates first packets, keeps the kernel's cache true."""
