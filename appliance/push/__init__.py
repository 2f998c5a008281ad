"""Push rules applied: which events notify whom, and how many of them are unread."""
