"""Tests of drivers/hrs: published vectors, properties, and the driver against its peer over a real HCI transport."""
