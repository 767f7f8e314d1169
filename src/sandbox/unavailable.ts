/** Why no sandbox can be had, and the error that says so. */
import { type ExecServerError, sandboxUnavailable } from "../protocol/error.ts";

/** Stable names. */
export type UnavailableReason =
  | "unsupported-platform"
  | "needs-executable"
  | "bwrap-missing"
  | "bwrap-untrusted"
  | "bwrap-too-old"
  | "userns-refused"
  | "proc-mount-refused"
  | "network-namespace-refused"
  | "seccomp-refused"
  | "not-held";

/** What to do about each. */
export const HINTS: Readonly<Record<UnavailableReason, string>> = {
  "unsupported-platform": "sandboxes need Linux with bubblewrap; run the server in a Linux machine",
  "needs-executable":
    "run the compiled executable, not its source under Node or Deno; for files a program that uses the library gives " +
    "its path: Environment.local({ executable })",
  "bwrap-missing": "install bubblewrap 0.8 or newer (Debian, Ubuntu, Fedora: package bubblewrap)",
  "bwrap-untrusted": "install bubblewrap so that only root can replace it, without the set-uid bit",
  "bwrap-too-old": "install bubblewrap 0.8 or newer",
  "userns-refused":
    "allow user namespaces: in a container --security-opt seccomp=unconfined or a profile that permits them; on " +
    "Ubuntu 24.04 an AppArmor profile for bwrap; else sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces",
  "proc-mount-refused":
    "/proc is partly masked, as in containers: start the container with --security-opt systempaths=unconfined, or " +
    "run the server on the host",
  "network-namespace-refused":
    "network namespaces cannot be set up: on Ubuntu 24.04 bwrap needs an AppArmor profile " +
    "(kernel.apparmor_restrict_unprivileged_userns); else sysctl user.max_net_namespaces",
  "seccomp-refused": "the kernel takes no seccomp filter: it needs CONFIG_SECCOMP_FILTER",
  "not-held": "a sandbox was made but did not hold; do not rely on it here, and report this",
};

/** -32600: a sandbox is asked for that this machine cannot make. Nothing was started. */
export function cannotEnforce(reason: UnavailableReason, detail?: string): ExecServerError {
  const said = detail === undefined || detail === "" ? reason : `${reason} (${detail})`;
  return sandboxUnavailable(`${said}; hint: ${HINTS[reason]}`);
}
