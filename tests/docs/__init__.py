"""The pages of `docs/`: what stands in them runs, and what is drawn in them is what the code says."""
