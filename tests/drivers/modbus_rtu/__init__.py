"""Tests of the Modbus RTU family: framing, registers, one owner per bus, models, peer over a real pseudo-terminal."""
