"""What steers the sampler beside its conditions."""
