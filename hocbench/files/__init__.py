"""Files that are written whole and tell later whether they are still as they were written."""
