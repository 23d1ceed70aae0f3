"""What slides are exported to and annotated from: forms, their jobs, writers of napari."""
