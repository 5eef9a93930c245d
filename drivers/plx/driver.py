"""An oximeter by its profile: a stream while it is worn, or a record for each spot check."""

from pathlib import Path

from drivers.gatt_meter import gatt_family

FAMILY = gatt_family("plx", Path(__file__).parent)
