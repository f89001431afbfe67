"""Dead letters: found, shown, sent again, removed. Behind `gateway dlq`."""
