"""Around an edit of existing tissue: where pixels may change, and what is proposed for it."""
