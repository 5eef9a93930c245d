"""Card readers and code scanners on a serial port."""
