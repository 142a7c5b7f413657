"""Tables, figures and text for the terminal, Markdown, CSV and JSON."""
