"""The vocabulary: what a stamp, a block, a measurement, an event, an alarm and a quantity are. No I/O lives here."""
