"""What `sluice sql` is made of: shapes of answers, scripts and parameters, the prompt."""
