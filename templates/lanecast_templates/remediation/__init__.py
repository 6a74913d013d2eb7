"""What a change of the plan means on each device: the commands to type, and the commands that undo them."""
