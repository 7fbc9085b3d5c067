"""What an operator hears about the node: figures, what is wrong, what to do."""
