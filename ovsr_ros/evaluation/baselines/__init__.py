"""Other ways to find an image's regions, judged as ours are and named by the same recognition."""
