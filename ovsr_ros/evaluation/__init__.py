"""Data sets, protocols and metrics: how right the pipeline is."""
