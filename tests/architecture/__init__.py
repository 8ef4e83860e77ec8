"""The rules of the house, tested: layers, budgets, words, and documentation that cannot lag behind the code."""
