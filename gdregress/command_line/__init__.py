"""What the command reads: tables of text, and columns that are prepared."""
