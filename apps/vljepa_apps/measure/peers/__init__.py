"""What a bundle is measured beside: the same networks as others would run them, each in a process of its own."""
