"""What estimates the unknown pixels of a picture whose mosaics are known: with a network, or without any training.

smooth.py       without training: the picture that changes along its edges least
network.py      with a network: starts from `smooth`, predicts what that lacks, and how sure it is
"""
