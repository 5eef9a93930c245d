"""Every compiled loop of the house: numbers in, numbers out, no objects, no allocation.

The cache directory's name holds a hash over all files of this package, because numba's own key sees neither callees in
other files nor fastmath flags (numba 0.68: the caller kept the old result after its callee's file had changed).
"""
