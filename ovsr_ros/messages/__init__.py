"""What the fields of sensor messages mean, whatever class the messages have: ROS's own, or those of a bag's reader."""
