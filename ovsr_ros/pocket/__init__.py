"""A small embedded pair of towers for photographs: how its parts are trained."""
