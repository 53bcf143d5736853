"""The built-in agent: a language model that works in the tree by our tools, in a process of its own."""
