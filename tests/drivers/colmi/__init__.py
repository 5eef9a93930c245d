"""Tests of drivers/colmi: published vectors, the log put together, and the driver against its ring."""
