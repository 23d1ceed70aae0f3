"""Words everything shares: geometry, maps, captions, requests, noise, events, errors.

Nothing below this package may import anything but the standard library and numpy.
"""
