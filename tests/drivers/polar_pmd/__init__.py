"""Tests of drivers/polar_pmd: vectors, properties, and the driver against its band over a real HCI transport."""
