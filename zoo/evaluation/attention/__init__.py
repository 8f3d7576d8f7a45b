"""Where the heads of text models look: read, measured and drawn."""
