"""The product and its examples, started as a user starts them."""
