"""Bed belts on a serial line: a sampled wave, the static load, a sequence number. No arithmetic on the signal here."""
