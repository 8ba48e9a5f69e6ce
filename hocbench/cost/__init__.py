"""What a plan will cost, extrapolated from steps that are measured on this machine."""
