// Attacks that write the protected names in the root, or the root's own name.
import type { Attack } from "./attack.ts";
import { shell } from "./attempt.ts";

const READ_ONLY = "everything but the roots is mounted read-only";
const MOUNT_POINT = "a mount point cannot be renamed: EBUSY";
const GIT_READ_ONLY = "protected names are mounted read-only";

/** Attacks on protected names. */
export const PROTECTED_WRITES: readonly Attack[] = [
  shell("w-git-config", "append to .git/config", GIT_READ_ONLY, () => "echo x >>.git/config"),
  shell("w-git-hook", "add a hook to .git", GIT_READ_ONLY, () => "echo x >.git/hooks/pre-commit"),
  shell("w-git-chmod", "change the mode of .git", GIT_READ_ONLY, () => "chmod 777 .git .git/config"),
  shell("w-git-rename", "move .git away", MOUNT_POINT, () => "mv .git away"),
  shell("w-git-remove", "delete in .git", GIT_READ_ONLY, () => "rm -rf .git"),
  {
    id: "w-git-exchange",
    tries: "exchange .git with another folder (renameat2)",
    stoppedBy: MOUNT_POINT,
    program: () => ({
      perl: String.raw`mkdir "other"; sys("renameat2", -100, c(".git"), -100, c("other"), 2); tried();`,
    }),
  },
  shell(
    "w-git-worktree-dir",
    "write a git folder outside the root",
    READ_ONLY,
    (s) => `mkdir ${s.outside}/git; echo x >${s.outside}/git/config`,
  ),
  shell(
    "w-agents",
    "write a protected folder that exists",
    GIT_READ_ONLY,
    () => "echo x >>.agents/note; mv .agents away",
  ),
  {
    ...shell(
      "w-protected-missing",
      "create a protected folder that is missing",
      "a read-only folder in its place",
      () =>
        "mkdir -p .codex; echo x >.codex/config.toml; ls .codex | grep -q config && say ESCAPED 'made .codex/config.toml' && exit",
    ),
  },
  shell(
    "w-nested-git-hook",
    "add a hook to a repository below the root",
    "nothing",
    () => "echo x >sub/pkg/.git/hooks/pre-commit",
  ),
  shell(
    "w-nested-parent-swap",
    "move the parent of a repository away and build another",
    "nothing",
    () => "mv sub2 sub2-old; mkdir -p sub2/pkg/.git/hooks; echo x >sub2/pkg/.git/hooks/pre-commit",
  ),
  shell(
    "w-root-swap",
    "rename the writable root itself",
    MOUNT_POINT,
    (s) => `mv ${s.root} ${s.base}/away; mkdir ${s.root}`,
  ),
];
