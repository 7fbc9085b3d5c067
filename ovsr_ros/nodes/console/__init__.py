"""The operator's page as a process: what it hears and asks of nodes `ovsr` on the network."""
