"""What a person sees in a browser, asked over HTTP."""
