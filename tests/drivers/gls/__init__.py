"""Tests of drivers/gls: published vectors, properties, RACP step by step, and the driver against its meter."""
