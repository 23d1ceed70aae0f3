"""Slides given away: images, masks, training sets, each with what is synthetic in it."""
