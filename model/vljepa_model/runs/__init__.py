"""What all training runs share: a folder that says what is done, a loop that can be killed, and a log."""
