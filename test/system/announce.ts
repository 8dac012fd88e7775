/** Announces, before the first test of this tier, its needs and its effects on the machine. */
process.stderr.write(
  "test:system needs root, a C compiler, strace and the network. It drops this machine's page cache, limits memory, " +
    "and makes 100,000 orphans. What cannot be had is skipped and says so.\n",
);
