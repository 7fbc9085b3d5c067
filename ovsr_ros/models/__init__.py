"""Thin wrappers around timm's and open_clip's networks; nothing outside this folder imports those libraries."""
