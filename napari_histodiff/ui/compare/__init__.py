"""What one needs to choose among variants: readouts, and looks at before and after."""
