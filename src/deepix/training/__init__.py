"""Training of networks, from pictures to weights; needs the extra `train`."""
