/** Names that stay as they are in a folder that may be written to. */

/** What decides how programs of people behave later: settings and hooks that they run. */
export const PROTECTED_NAMES = [".git", ".codex", ".agents", ".aws"] as const;
