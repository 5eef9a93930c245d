"""60 GHz radars with 0x01 frames (Seeed MR60BHA2, Hi-Link HLK-LD6002): breath, pulse and the phase of the chest."""
