"""What runs, named once: parameters become runs, and runs become jobs."""
