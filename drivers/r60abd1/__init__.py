"""MicRadar R60ABD1 60 GHz radar above a bed: in or out, breath and pulse without touch."""
