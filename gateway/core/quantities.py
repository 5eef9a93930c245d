"""Every quantity the box knows: name, UCUM unit, plausible range, LOINC and IEEE 11073 MDC code.

Codes and ranges: reference table "Health semantics" (LOINC check digits are verified in the tests; MDC is
partition * 65536 + term). A quantity without an official code carries None and is sent under its local name.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quantity:
    """low and high bound what is plausible at all (inclusive); a value outside is refused, not clamped."""

    name: str
    unit: str
    low: float
    high: float
    loinc: str | None = None
    mdc: int | None = None

    def plausible(self, value: float) -> bool:
        """False also for NaN and infinities."""
        return self.low <= value <= self.high


_TABLE = (
    Quantity("heart_rate", "/min", 20, 250, "8867-4", 147842),
    Quantity("pulse_rate", "/min", 25, 240, "8889-8", 149530),
    Quantity("respiration_rate", "/min", 3, 60, "9279-1", 151562),
    Quantity("spo2", "%", 50, 100, "59408-5", 150456),
    Quantity("systolic", "mm[Hg]", 50, 280, "8480-6", 150021),
    Quantity("diastolic", "mm[Hg]", 25, 180, "8462-4", 150022),
    Quantity("mean_arterial", "mm[Hg]", 35, 220, "8478-0", 150023),
    Quantity("body_temperature", "Cel", 30, 43, "8310-5", 150364),
    Quantity("weight", "kg", 20, 250, "29463-7", 188736),
    Quantity("height", "cm", 40, 230, "8302-2", 188740),
    Quantity("bmi", "kg/m2", 8, 90, "39156-5", 188752),
    Quantity("body_fat", "%", 1, 75, "41982-0", 188748),
    Quantity("glucose", "mmol/L", 0.6, 40, "15074-8", 160184),
    Quantity("ketone", "mmol/L", 0.02, 20, "66441-7"),
    Quantity("uric_acid", "umol/L", 50, 2500),  # this and cholesterol: LOINC has them for serum, a strip is no serum
    Quantity("cholesterol", "mmol/L", 1, 25),
    Quantity("haematocrit", "%", 5, 80, "20570-8"),
    Quantity("haemoglobin", "g/L", 20, 260, "718-7"),
    Quantity("lactate", "mmol/L", 0.1, 35, "32693-4"),
    Quantity("perfusion_index", "%", 0, 30, None, 150488),
    Quantity("ibi", "ms", 240, 3000, None, 147240),
    Quantity("rmssd", "ms", 0, 1000),  # of clean intervals of five minutes, as the next two: a trend, never an alarm
    Quantity("sdnn", "ms", 0, 1000),
    Quantity("irregularity", "1", 0, 2),  # median of the steps between beats over the median interval
    Quantity("bed_occupied", "1", 0, 1, None, 8519691),
    Quantity("movement", "1", 0, 1, None, 8519687),
    Quantity("bed_load", "kg", 0, 400),
    Quantity("vital_sign", "1", 0, 1),  # movement, breath or pulse seen (1) or none though the bed is loaded (0)
    Quantity("turned", "1", 0, 1),  # 1 in the second in which it is known that the sleeper has turned over; never 0
    Quantity("restlessness", "min/h", 0, 60),  # minutes with movement of each hour in bed
    Quantity("breathing_pause", "s", 0, 120),  # length of the one that ended in this second, 0 when none did
    Quantity("worn", "1", 0, 1),
    Quantity("door_open", "1", 0, 1),  # of the room or home, a window too
    Quantity("motion", "1", 0, 1),  # in the room, whoever it was
    Quantity("presence", "1", 0, 1),  # somebody is in the room, moving or not
    Quantity("room_temperature", "Cel", -40, 85, None, 150364),
    Quantity("room_humidity", "%", 0, 100),
    Quantity("distance", "cm", 0, 1000),
    Quantity("illuminance", "lx", 0, 200_000),
    Quantity("voltage", "V", 0, 60),
    Quantity("battery", "%", 0, 100, None, 67996),
    Quantity("rssi", "dB[mW]", -127, 20),
)

QUANTITIES = {quantity.name: quantity for quantity in _TABLE}


def quantity(name: str) -> Quantity:
    """KeyError with the known names when `name` is none of them."""
    try:
        return QUANTITIES[name]
    except KeyError:
        raise KeyError(f"unknown quantity {name!r}; known: {', '.join(sorted(QUANTITIES))}") from None
