"""The operator's page, without ROS: what a node says, what operators change, who may. `web/` is the page itself."""
