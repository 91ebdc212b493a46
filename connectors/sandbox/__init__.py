"""The world outside, on this machine: the processors' twins, and a catcher of mail and SMS."""
