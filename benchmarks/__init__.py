"""Side by side with torchvision: the same weights, the same inputs, in the same process."""
