"""The state database: sessions with ZooKeeper, transactions, and a host's mirror of it."""
