"""A rubric applied by a model: from a case to a judgment."""
