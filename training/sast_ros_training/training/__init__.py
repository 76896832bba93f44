"""Training the network: data of several kinds in, weights out."""
