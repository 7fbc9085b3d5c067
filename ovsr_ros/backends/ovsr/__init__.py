"""OVSR: training-free open-vocabulary segmentation and recognition (Dai and Chen, arXiv 2510.19333).

The files in the order the data passes them: features, latent, smoothing, clustering, refinement,
regions, crops, embedding, alignment.
"""
