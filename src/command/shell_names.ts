/** Which environment variables a shell leaves alone, and which leave a shell alone. */

/** What a shell can hold. Others it drops, or takes for exported functions. */
const SHELL_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * Of the dynamic linker and the C library, which would run code in the wrapper before there are limits; of the
 * locale, about which bash prints warnings; of the families of shell variables.
 */
const SENSITIVE_PREFIX =
  /^(?:LD_|DYLD_|GLIBC_|GCONV_|MALLOC_|LIBC_|LC_|LANG|BASH|COMP_|EPOCH|FUNC|HIST|KSH|OPT|PS\d|ZSH)/;

/** Everything that dash, bash, busybox, ksh, mksh or yash sets, changes or obeys without being told to. */
const SENSITIVE: ReadonlySet<string> = new Set([
  "_",
  "ATTY",
  "CDPATH",
  "CHILD_MAX",
  "COLUMNS",
  "COPROC",
  "DIRSTACK",
  "EGID",
  "EMACS",
  "ENV",
  "ERRNO",
  "EUID",
  "EXECIGNORE",
  "FIGNORE",
  "FPATH",
  "GID",
  "GLOBIGNORE",
  "GROUPS",
  "IFS",
  "IGNOREEOF",
  "LINENO",
  "LINES",
  "LOCPATH",
  "MAPFILE",
  "NLSPATH",
  "OLDPWD",
  "PGRP",
  "PIPESTATUS",
  "POSIXLY_CORRECT",
  "POSIX_PEDANTIC",
  "PPID",
  "PROMPT_COMMAND",
  "PWD",
  "RANDOM",
  "REPLY",
  "SECONDS",
  "SHELLOPTS",
  "SHLVL",
  "SRANDOM",
  "TIMEFORMAT",
  "TMOUT",
  "UID",
  "USER_ID",
]);

/** True when a variable can go through any shell: it comes out unchanged and does nothing there. */
export function passesShell(name: string): boolean {
  return SHELL_NAME.test(name) && !SENSITIVE_PREFIX.test(name) && !SENSITIVE.has(name);
}
