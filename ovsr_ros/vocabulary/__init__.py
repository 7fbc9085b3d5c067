"""The operator's words: categories, the ids they are given, the file that keeps them, their embeddings."""
