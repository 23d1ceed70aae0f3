"""What steers a drawing beside paint and caption."""
