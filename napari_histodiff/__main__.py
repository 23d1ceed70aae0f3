"""`python -m napari_histodiff` is `histodiff`."""

from napari_histodiff.cli.main import main

main()
