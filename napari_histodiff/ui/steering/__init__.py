"""What steers a drawing beside paint and caption, in the dock."""
