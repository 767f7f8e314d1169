/** What of our own environment is nobody else's business. */

/**
 * Variables that hold a secret of a server, or may. They reach no child, and their values do not get into the audit
 * log. Whoever adds a secret to the environment of the server adds its name here.
 */
export const OWN_SECRETS: readonly string[] = [
  "EXEC_SERVER_TOKEN",
  "CODEX_EXEC_SERVER_NOISE_AUTH_TOKEN",
];

/**
 * Variables that open a door of ours to a child: where systemd keeps our credentials and takes our messages
 * (systemd.exec(5), sd_notify(3)), and switches that would turn our own executable into something else if a child
 * starts it (Bun reads the last two in every program it compiled).
 */
const OWN_DOORS: readonly string[] = [
  "EXEC_SERVER_URL", // for those who talk to a server; may carry a token
  "CREDENTIALS_DIRECTORY",
  "NOTIFY_SOCKET",
  "CODEX_EXEC_SERVER_EXIT_ON_STDIN_CLOSE",
  "BUN_BE_BUN",
  "BUN_OPTIONS",
];

/** Variables that never reach a child. */
export const NEVER_INHERITED: ReadonlySet<string> = new Set([...OWN_SECRETS, ...OWN_DOORS]);
