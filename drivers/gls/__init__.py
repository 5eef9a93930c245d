"""Glucose meters by the Glucose Service (0x1808): stored records fetched through RACP, joined with their context."""
