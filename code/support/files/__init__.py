"""Files that are written whole or not at all. When a file is read, nothing in it is trusted before it is checked."""
