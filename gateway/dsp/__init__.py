"""Kernels and estimators: numbers in, numbers out. Only the worker process imports this room; no I/O, no clock."""
