"""Tests of drivers/bthome: published vectors, properties, and the driver against its peer over a real HCI transport."""
