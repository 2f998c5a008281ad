"""What of encryption cannot be seen from outside, or not without other servers."""
