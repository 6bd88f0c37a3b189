"""The benches: each script compares apimon with a named peer in the same run and prints their ratio."""
