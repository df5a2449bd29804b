"""A run: its recipe, its folder, its processes, and the loop that resumes exactly."""
