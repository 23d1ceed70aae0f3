"""From what is painted and chosen to variants on the image: request, plan, job, stage."""
