"""Metrics as pure functions of arrays; each is tested on cases worked out by hand.

A value that is not defined, such as a score over no nuclei at all, is NaN everywhere in this
package: leave it out of a mean with `numpy.nanmean`, never read it as good or bad.
"""
