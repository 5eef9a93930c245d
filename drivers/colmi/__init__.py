"""Colmi R02, R03, R06 and R10 rings: pulse from the ring's own log, spot pulse and SpO2, battery. They do not bond."""
