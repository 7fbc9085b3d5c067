"""`ovsr evaluate --sweep FILE`: one option varied at a time. The file, the measuring, the tables, the command."""
