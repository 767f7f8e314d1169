/** What the tests and the benchmark start beside our own programs, and how it comes to this machine. */
import { execFileSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";

/** Program and Debian package. */
const NEEDED = [
  ["bwrap", "bubblewrap"],
  ["tmux", "tmux"],
  ["vim", "vim"],
  ["less", "less"],
  ["htop", "htop"],
  ["openssl", "openssl"],
  ["chromium", "chromium"],
  ["systemd-analyze", "systemd"],
] as const;

/** Installs what the tests need and is missing. @throws with what to do when that cannot be done */
export function installTestPrograms(): void {
  installPrograms("the tests", NEEDED);
}

/**
 * Installs Debian packages whose program is missing, as root or with sudo.
 * @param needed program and package
 * @throws with what to do when that cannot be done
 */
export function installPrograms(who: string, needed: readonly (readonly [string, string])[]): void {
  const packages = needed.filter(([program]) => !isThere(program)).map(([, name]) => name);
  if (packages.length === 0) return;
  const asRoot = process.getuid?.() === 0 ? [] : ["sudo", "-n"];
  const run = (...words: string[]) => {
    const [program = "", ...args] = [...asRoot, ...words];
    execFileSync(program, args, {
      stdio: ["ignore", "ignore", "inherit"],
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    });
  };
  console.error(`installing for ${who}: ${packages.join(" ")}`);
  try {
    run("apt-get", "update", "-qq");
    run("apt-get", "install", "-y", "-qq", ...packages);
  } catch (error) {
    throw new Error(`${who} need these packages: install ${packages.join(", ")}, then start again`, {
      cause: error,
    });
  }
}

function isThere(program: string): boolean {
  return [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin"].some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
