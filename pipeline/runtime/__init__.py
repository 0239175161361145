"""The model's step on a device."""
