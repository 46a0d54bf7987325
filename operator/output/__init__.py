"""What a command answers: one document, shown as a table, as plain text or as JSON."""
