/** What the tests start beside our own programs, and how it comes to this machine. */
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

/** Installs what is missing, as root or with sudo. @throws with what to do when that cannot be done */
export function installTestPrograms(): void {
  const packages = NEEDED.filter(([program]) => !isThere(program)).map(([, name]) => name);
  if (packages.length === 0) return;
  const asRoot = process.getuid?.() === 0 ? [] : ["sudo", "-n"];
  const run = (...words: string[]) => {
    const [program = "", ...args] = [...asRoot, ...words];
    execFileSync(program, args, {
      stdio: ["ignore", "ignore", "inherit"],
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    });
  };
  console.log(`installing for the tests: ${packages.join(" ")}`);
  try {
    run("apt-get", "update", "-qq");
    run("apt-get", "install", "-y", "-qq", ...packages);
  } catch (error) {
    throw new Error(`the tests need these packages: install ${packages.join(", ")}, then start again`, {
      cause: error,
    });
  }
}

function isThere(program: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
