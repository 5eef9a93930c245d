"""Oximeters with the BCI 5-byte stream, BERRY 20-byte frames or Contec's BT packets. No median, no rule in frame.py."""
