"""Polar bands (Verity Sense, OH1, H10, 360): raw acceleration (PMD service) and pulse (HRS) in one connection."""
