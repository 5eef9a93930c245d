"""The arithmetic: kernels, estimators and chains, on signals whose truth is known."""
