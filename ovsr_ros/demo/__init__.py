"""What makes the package run with nothing downloaded: rendered scenes with ground truth, and models trained on them."""
