"""Speed and memory of a configuration: measured in turns, warmed up, with the device's work waited for."""
