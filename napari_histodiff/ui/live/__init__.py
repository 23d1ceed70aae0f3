"""A rough picture of the frame while one paints: never applied, and never in the way of edits."""
