"""Tests of the bed belt family: format, sequence numbers, driver and peer over a real pseudo-terminal."""
