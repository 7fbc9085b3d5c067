"""`python -m ovsr_ros.nodes.demo`: a drawn camera and the node, with what they show."""
