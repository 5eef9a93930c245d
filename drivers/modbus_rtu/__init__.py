"""Everything on an RS-485 bus that speaks Modbus RTU: one owner per bus, a model is one TOML file.

frame.py bytes, registers.py numbers, contact.py and reading.py what they mean, slave.py when to ask whom, bus.py the
wire, driver.py the owner, peer.py the slaves' end. No register map stands in Python.
"""
