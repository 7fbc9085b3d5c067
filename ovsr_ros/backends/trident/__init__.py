"""Trident (Shi, Dong & Xu, arXiv 2411.09219): CLIP sees windows, DINO says which patches agree, SAM joins and refines.

What the paper leaves open follows its authors' public code; where that code does something unexpected, the stage says
so and does the same, because the published thresholds were tuned upon it.
"""
