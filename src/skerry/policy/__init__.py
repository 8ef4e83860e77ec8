"""What is watched over and told: alarms."""
