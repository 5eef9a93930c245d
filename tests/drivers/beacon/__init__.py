"""Tests of drivers/beacon: published vectors, alarm patterns, presence, and the driver against its pendant."""
