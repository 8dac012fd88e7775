/**
 * The variables that the pinned Bun, its parts and libc read: from Bun's strings and documentation, the
 * calls of getenv(3) traced at its start, and environ(7). Names, and under LOADER names with values.
 */

/** Values that load, run, print or change something where a variable is heeded at all. `FOLDER` holds hostile files. */
export const HOSTILE = ["1", "FOLDER/evil.js", "--preload=FOLDER/evil.js --inspect=127.0.0.1:0"] as const;

const words = (text: string): string[] => text.trim().split(/\s+/);
const prefixed = (prefix: string, text: string): string[] => words(text).map((word) => prefix + word);

/** By who reads them. */
export const VARIABLES = {
  "Bun: what runs code": prefixed(
    "BUN_",
    `BE_BUN OPTIONS INSPECT INSPECT_CONNECT_TO INSPECT_NOTIFY INSPECT_PRELOAD ENV PUBLIC_X PORT
     RUNTIME_TRANSPILER_CACHE_PATH PLUGIN_NAME TCC_OPTIONS CHROME_PATH FFI_IMPORT INTERNAL_BUNX_INSTALL
     COMPILE_TARGET_TARBALL_URL WORKER_MESSAGING_KEY WORKER_PARENT_PORT_KEY WORKER_STDIO_KEY`,
  ),
  "Bun: Bun": prefixed(
    "BUN_",
    `AGENT_RULE_DISABLED ASSUME_PERFECT_INCREMENTAL AUTO_UPDATE CRASH_REPORT_URL ENABLE_CRASH_REPORTING DEBUG_ALL
     DEBUG_QUIET_LOGS DEBUG_lsquic DEBUG_FORCE_NIX_HOST DEBUG_TEST_TEXT_LOCKFILE DESTRUCT_VM_ON_EXIT
     DEV_SERVER_TEST_RUNNER DISABLE_DYNAMIC_CHUNK_SIZE DISABLE_KITTY_PROBE DISABLE_SLOW_FILESYSTEM_WARNING
     DISABLE_SLOW_LIFECYCLE_SCRIPT_LOGGING DISABLE_SOURCE_CODE_PREVIEW DISABLE_STOP_IF_NECESSARY_TIMER
     DISABLE_STORE_AST_HEAP DISABLE_TRANSPILED_SOURCE_CODE_PREVIEW DISABLE_TRANSPILER
     ENABLE_EXPERIMENTAL_SHELL_BUILTINS GARBAGE_COLLECTOR_LEVEL GC_RUNS_UNTIL_SKIP_RELEASE_ACCESS GC_TIMER_DISABLE
     GC_TIMER_INTERVAL IDLE_GC_SECONDS INOTIFY_COALESCE_INTERVAL INTERNAL_INTERACTIVE_ASSUME_TTY
     INTERNAL_NAPI_FORCE_MUSL_CHECK INTERNAL_SUPPRESS_CRASH_IN_BUN_RUN INTERNAL_SUPPRESS_CRASH_ON_NAPI_ABORT
     INTERNAL_SUPPRESS_CRASH_ON_UV_STUB INTERNAL_TEST_CHANGED_TRIGGER_FILE NO_CODESIGN_MACHO_BINARY
     SHOW_BUN_STACKFRAMES TEST_DRAIN_EVENT_LOOP TEST_PARALLEL_SCALE_MS TEST_WORKER_ID THREADPOOL_STATS TMPDIR TRACE
     WATCHER_TRACE WHICH_IGNORE_CWD`,
  ),
  "Bun: feature flags": prefixed(
    "BUN_FEATURE_FLAG_",
    `DISABLE_ADDRCONFIG DISABLE_ASYNC_TRANSPILER DISABLE_DNS_CACHE DISABLE_EPOLL_PWAIT2
     DISABLE_FETCH_TLS_SESSION_CACHE DISABLE_IGNORE_SCRIPTS DISABLE_INSTALL_INDEX DISABLE_IO_POOL DISABLE_IPV4
     DISABLE_IPV6 DISABLE_ISOLATION_SOURCE_CACHE DISABLE_MEMFD DISABLE_NATIVE_DEPENDENCY_LINKER
     DISABLE_REDIS_AUTO_PIPELINING DISABLE_RWF_NONBLOCK DISABLE_SIMD_SOURCEMAP DISABLE_SOURCE_MAPS
     DISABLE_SPAWNSYNC_FAST_PATH DISABLE_SQL_AUTO_PIPELINING DISABLE_STANDALONE_MADVISE DISABLE_STREAMING_INSTALL
     EXPERIMENTAL_BAKE EXPERIMENTAL_HTTP2_CLIENT EXPERIMENTAL_HTTP3_CLIENT FORCE_IO_POOL FORCE_WAITER_THREAD
     FORCE_WINDOWS_JUNCTIONS INTERNAL_FOR_TESTING LAST_MODIFIED_PRETEND_304 NO_LIBDEFLATE NO_ORPHANS
     SYNTHETIC_MEMORY_LIMIT VERBOSE_WARNINGS`,
  ),
  "Bun: package manager and network": prefixed(
    "BUN_",
    `CONFIG_DISABLE_COPY_FILE_RANGE CONFIG_DISABLE_ioctl_ficlonerange CONFIG_DNS_TIME_TO_LIVE_SECONDS
     CONFIG_HTTP_IDLE_TIMEOUT CONFIG_HTTP_RETRY_COUNT CONFIG_MAX_HTTP_REQUESTS CONFIG_NO_CLEAR_TERMINAL_ON_RELOAD
     CONFIG_NO_VERIFY CONFIG_REGISTRY CONFIG_SKIP_INSTALL_PACKAGES CONFIG_SKIP_LOAD_LOCKFILE
     CONFIG_SKIP_SAVE_LOCKFILE CONFIG_TOKEN CONFIG_VERBOSE_FETCH CONFIG_WS_HANDSHAKE_TIMEOUT CONFIG_YARN_LOCKFILE
     CREATE_DIR INSTALL INSTALL_BIN INSTALL_CACHE_DIR INSTALL_GLOBAL_DIR INSTALL_GLOBAL_STORE INSTALL_PROGRESS
     INSTALL_STREAMING_DRAIN_THRESHOLD INSTALL_STREAMING_MIN_SIZE INSTALL_VERBOSE MANIFEST_CACHE`,
  ),
  "Node.js, as far as Bun follows it": prefixed(
    "NODE_",
    `OPTIONS PATH ENV CHANNEL_FD CHANNEL_SERIALIZATION_MODE CLUSTER_SCHED_POLICY COMPILE_CACHE COMPILE_CACHE_PORTABLE
     DEBUG DEBUG_NATIVE DISABLE_COLORS DISABLE_COMPILE_CACHE EXTRA_CA_CERTS ICU_DATA NO_READLINE NO_WARNINGS
     PENDING_DEPRECATION PRESERVE_SYMLINKS PRESERVE_SYMLINKS_MAIN REDIRECT_WARNINGS REPL_EXTERNAL_MODULE REPL_HISTORY
     REPL_HISTORY_SIZE REPL_MODE TEST_CONTEXT TEST_WORKER_ID TLS_REJECT_UNAUTHORIZED UNIQUE_ID USE_ENV_PROXY
     USE_SYSTEM_CA V8_COVERAGE`,
  ),
  "JavaScriptCore and WTF": [
    ...prefixed(
      "BUN_JSC_",
      `bogus configFile collectContinuously crashIfCantAllocateJITMemory disableGC diskCachePath
       dumpBaselineDisassembly dumpBytecodesBeforeGeneratorification dumpDisassembly dumpFFIDisassembly
       dumpGeneratedBytecodes dumpHeapStatisticsAtVMDestruction dumpJITMemoryPath dumpModuleRecord dumpOptions
       dumpProfilerDataAtExit enableDollarVM enableProfiler enableStrongRefTracker forceRAMSize gcMaxHeapSize logGC
       logJIT maxPerThreadStackUsage reportBytecodeCompileTimes reportParseTimes reportTotalCompileTimes
       samplingProfilerPath scribbleFreeCells showDisassembly sourceCodeDumpDirectory sweepSynchronously
       textMarkersDirectory traceLLIntExecution useCodeCache useConcurrentGC useConcurrentJIT useDFGJIT useDollarVM
       useFFIDirectCall useFTLJIT useGC useGdbJITInfo useIRDump useJIT useJITCage useJITDump useLLInt useProfiler
       useSamplingProfiler useSourceCodeDump useTextMarkers useTracePoints useWasm useWasmFaultSignalHandler
       useZombieMode validateBytecode validateOptions verboseDiskCache verboseFFI verifyGC verifyHeap watchdog`,
    ),
    ...words(
      `JSC_SIGNAL_FOR_GC JSC_PROFILER_PATH JSC_useJIT JSC_dumpOptions JSC_configFile JavaScriptCoreUseJIT
       WTF_numberOfProcessorCores JSGC_MEMORY_LIMIT`,
    ),
  ],
  allocators: [
    ...["mimalloc_", "MIMALLOC_"].flatMap((prefix) =>
      prefixed(
        prefix,
        `show_errors show_stats verbose max_errors max_warnings reserve_huge_os_pages allow_large_os_pages
         arena_reserve arena_eager_commit purge_delay purge_decommits disallow_os_alloc use_numa_nodes allow_thp
         os_tag minimal_purge_size guarded_min guarded_max guarded_precise guarded_sample_rate guarded_sample_seed
         generic_collect`,
      ).map((name) => (prefix === "MIMALLOC_" ? name.toUpperCase() : name)),
    ),
    ...prefixed(
      "Malloc",
      `CheckHeapAbort CheckHeapEach CheckHeapSleep CheckHeapStart CorruptionAbort DoNotProtectPostlude
       DoNotProtectPrelude ErrorAbort GuardEdges Help LogFile Scribble StackLogging`,
    ),
    ...words(
      `Malloc WebKitMallocForceEnabled WebKitSystemHeapOverrideEnablement DYLD_INSERT_LIBRARIES GIGACAGE_ENABLED
       MALLOC_TRACE`,
    ),
  ],
  "other parts": words(
    `SSL_CERT_DIR SSL_CERT_FILE SSLKEYLOGFILE OPENSSL_CONF OPENSSL_ia32cap OPENSSL_armcap ICU_DATA
     ICU_TIMEZONE_FILES_DIR ICU_ENABLE_TENTATIVE_ERA SIMDUTF_FORCE_IMPLEMENTATION GLIBCXX_TUNABLES
     GLIBCXX_FORCE_NEW UV_THREADPOOL_SIZE UV_USE_IO_URING CARES_HOSTS ZSTD_CLEVEL ZSTD_NBTHREADS RUST_BACKTRACE
     RUST_LIB_BACKTRACE RUST_MIN_STACK RUST_LOG HYPERFINE_RANDOMIZED_ENVIRONMENT_OFFSET DO_NOT_TRACK
     LIBCXX_TUNABLES UBSAN_OPTIONS ASAN_OPTIONS LSAN_OPTIONS`,
  ),
  libc: words(
    `TZ TZDIR LANG LANGUAGE LC_ALL LC_CTYPE LC_MESSAGES LC_TIME LOCPATH NLSPATH OUTPUT_CHARSET CHARSET GCONV_PATH
     GETCONF_DIR HOSTALIASES LOCALDOMAIN RES_OPTIONS RESOLV_HOST_CONF NIS_PATH POSIXLY_CORRECT MSGVERB SEV_LEVEL
     TMPDIR TMP TEMP DATEMSK PROFDIR`,
  ),
  "services, proxies and tokens": words(
    `HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY http_proxy https_proxy no_proxy all_proxy NPM_CONFIG_REGISTRY
     npm_config_registry NPM_CONFIG_TOKEN npm_config_user_agent npm_config_node_gyp npm_execpath npm_node_execpath
     npm_lifecycle_event npm_package_json GITHUB_TOKEN GITHUB_ACCESS_TOKEN GITHUB_API_DOMAIN GITHUB_ACTIONS
     AWS_ACCESS_KEY_ID AWS_REGION AWS_ENDPOINT S3_ENDPOINT S3_BUCKET S3_SESSION_TOKEN DATABASE_URL POSTGRES_URL
     PG_URL MYSQL_URL REDIS_URL VALKEY_URL`,
  ),
  "shells, terminals and others": words(
    `PATH HOME PWD OLDPWD SHELL USER LOGNAME SHLVL TERM TERM_PROGRAM TERM_PROGRAM_VERSION COLORTERM NO_COLOR
     FORCE_COLOR CLICOLOR_FORCE COLUMNS LINES CI TDDIUM JENKINS_URL TEAMCITY_VERSION TRAVIS CIRCLECI BUILD_ID
     BUILD_NUMBER RUN_ID CLAUDECODE CLAUDE_CODE_AGENT_RULE_DISABLED AGENT REPL_ID EDITOR VISUAL PORT DEBUG TEST
     JEST_WORKER_ID XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_RUNTIME_DIR KUBERNETES_SERVICE_HOST
     NOTIFY_SOCKET LISTEN_FDS LISTEN_PID ENV BASH_ENV IFS SUDO_UID APPIMAGE WSL_DISTRO_NAME`,
  ),
} as const satisfies Readonly<Record<string, readonly string[]>>;

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
