/** The variables that Bun, its parts and libc read, and those that the loader heeds. */

/** Values that load, run, print or change something where a variable is heeded at all. `FOLDER` holds hostile files. */
export const HOSTILE = ["1", "FOLDER/evil.js", "--preload=FOLDER/evil.js --inspect=127.0.0.1:0"] as const;

const prefixed = (prefix: string, names: string): string[] => names.split(/\s+/).map((name) => prefix + name);

/** Those that no executable spells whole: JavaScriptCore and mimalloc put a prefix to an option's name. Or they have no underscore. */
const OTHERS: readonly string[] = [
  ...prefixed(
    "BUN_JSC_",
    `bogus configFile dumpOptions dumpGeneratedBytecodes dumpDisassembly crashIfCantAllocateJITMemory disableGC
     diskCachePath forceRAMSize gcMaxHeapSize logGC logJIT scribbleFreeCells showDisassembly traceLLIntExecution
     useConcurrentGC useConcurrentJIT useDFGJIT useDollarVM useGC useJIT useLLInt useProfiler useSamplingProfiler useWasm
     validateOptions verboseFFI watchdog`,
  ),
  ...["mimalloc_", "MIMALLOC_"].flatMap((prefix) =>
    prefixed(
      prefix,
      `show_errors show_stats verbose max_errors reserve_huge_os_pages allow_large_os_pages arena_reserve
       arena_eager_commit purge_delay disallow_os_alloc use_numa_nodes allow_thp guarded_sample_rate`,
    ).map((name) => (prefix === "MIMALLOC_" ? name.toUpperCase() : name)),
  ),
  ...prefixed(
    "",
    `TZ TZDIR LANG LANGUAGE LOCPATH NLSPATH CHARSET HOSTALIASES LOCALDOMAIN TMPDIR TMP TEMP DATEMSK PATH HOME PWD OLDPWD
     SHELL USER LOGNAME SHLVL TERM COLORTERM COLUMNS LINES CI EDITOR VISUAL PORT DEBUG TEST AGENT ENV IFS SSLKEYLOGFILE
     http_proxy https_proxy no_proxy all_proxy npm_config_registry npm_config_user_agent npm_execpath Malloc MallocScribble
     MallocLogFile JSC_useJIT JSC_dumpOptions WTF_numberOfProcessorCores JavaScriptCoreUseJIT`,
  ),
];

/** Returns the names of the variables that the Bun in `bytes` may read: OTHERS, and every word of capitals with an underscore. */
export function variablesIn(bytes: Buffer): string[] {
  const texts = bytes.toString("latin1").matchAll(/[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+/g);
  // Bun's texts follow one another without a NUL between them.
  const names = [...texts].flatMap(([text]) => text.split(/(?<=.)(?=BUN_|NODE_)/));
  return [...new Set([...OTHERS, ...names])].filter((name) => !/^(LD_|GLIBC_TUNABLES|MALLOC_)/.test(name));
}

/**
 * What the loader of a dynamic program heeds, whoever wrote the program, and a value that shows. No executable can
 * refuse them, ours as little as one in C: SECURITY.md.
 */
export const LOADER: Readonly<Record<string, string>> = {
  // glibc's own allocator, which Bun hardly uses: glibc.malloc.* under their old names.
  MALLOC_ARENA_MAX: "1",
  MALLOC_ARENA_TEST: "1",
  MALLOC_CHECK_: "3",
  MALLOC_MMAP_MAX_: "0",
  MALLOC_MMAP_THRESHOLD_: "1",
  MALLOC_PERTURB_: "85",
  MALLOC_TCACHE_COUNT: "0",
  MALLOC_TOP_PAD_: "1",
  MALLOC_TRIM_THRESHOLD_: "1",
  LD_AUDIT: "/nonexistent.so",
  LD_BIND_NOW: "1",
  LD_BIND_NOT: "1",
  LD_DEBUG: "libs",
  LD_DYNAMIC_WEAK: "1",
  LD_HWCAP_MASK: "0",
  LD_LIBRARY_PATH: "/nonexistent",
  LD_ORIGIN_PATH: "/nonexistent",
  LD_PRELOAD: "/nonexistent.so",
  LD_PREFER_MAP_32BIT_EXEC: "1",
  LD_SHOW_AUXV: "1",
  LD_TRACE_LOADED_OBJECTS: "1",
  LD_USE_LOAD_BIAS: "0",
  LD_VERBOSE: "1",
  LD_WARN: "1",
  GLIBC_TUNABLES: "glibc.malloc.check=3:glibc.malloc.perturb=85:glibc.rtld.nns=2",
};
