"""Programs that people run, as actors of the started product: the examples, each woken with its
state, in the classes where its point is. What a class keeps is the drivers' contract."""
