"""Algorithms, a module each; its name is what ``model.algorithm`` says."""
