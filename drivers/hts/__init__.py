"""Health Thermometer Service (0x1809): thermometers that hand over a reading and hang up."""
