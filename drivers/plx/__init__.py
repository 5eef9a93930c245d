"""Pulse Oximeter Service (0x1822): spot checks and continuous oxygen saturation."""
