"""What runs inside a worker: the actors it holds, their tickets, and when they sleep."""
