"""Device families and the two links they share: bytes become blocks, measurements and events here, and nowhere else.

Each family is a package with the same files: `frame.py` (bytes to values, no I/O), `driver.py` (I/O), `peer.py` (the
device's end of the wire), and one TOML profile for each model. What does not live here: rules, storage, arithmetic.
"""
