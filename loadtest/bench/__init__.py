"""Side by side with other proxies: the same backend, cores and minutes for each of them."""
