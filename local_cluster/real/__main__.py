"""`python -m local_cluster.real`: say whether a real node can run here; exit status 1 and what is missing if not."""

import sys

from local_cluster.real.requirements import missing

if __name__ == "__main__":
    lacking = missing()
    sys.stdout.write("".join(f"{each}\n" for each in lacking))
    sys.exit(1 if lacking else 0)
