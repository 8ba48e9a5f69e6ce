"""The commands of ``hocbench``."""
