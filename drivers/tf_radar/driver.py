"""A radar that starts by itself: rates as it estimates them."""

from pathlib import Path

from drivers.framed_serial import framed_family

FAMILY = framed_family("tf_radar", Path(__file__).parent)
