"""TaiDoc, FORA and GlucoRx meters: 0x51 frames, one request list for pressure, blood, saturation, heat and weight."""
