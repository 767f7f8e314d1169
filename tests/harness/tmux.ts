/** A terminal whose screen can be looked at: a program in tmux(1). */
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { atExit } from "./at_exit.ts";
import { tempDir } from "./temp.ts";

const POLL_MS = 30;
/** Captures that must be the same before a screen counts as painted. */
const STILL = 5;
const LIMIT_MS = 20_000;
const COMMAND_LIMIT_MS = 10_000;

/** Goes on when the command has ended: tmux 3.3a now and then does not notice the end of its own child. */
const WRAPPER = '"$@"; echo "[exit $?]"; stty -a; exec sleep 1000';

/** Names of those programs that are not there. */
export function missing(programs: readonly string[]): string[] {
  return programs.filter((name) => spawnSync("/bin/sh", ["-c", `command -v ${name}`]).status !== 0);
}

/** A program in tmux. */
export interface Screen {
  /** Types text as it is. */
  type(text: string): void;
  /** Presses keys by tmux's names: `Enter`, `C-c`, `Up`. */
  press(...keys: string[]): void;
  resize(cols: number, rows: number): void;
  /** Rows with their colours, and the state of cursor, alternate screen, mouse and so on. */
  look(): string;
  /** Looks when it shows this and has not changed for a moment. */
  painted(pattern: RegExp): Promise<string>;
  close(): void;
}

/** Runs a command in a tmux server of its own, of 100 columns and 30 rows; shows its exit code, and `stty -a` then. */
export function openScreen(command: readonly string[], env: Readonly<Record<string, string>>): Screen {
  const socket = join(tempDir(), "tmux");
  const tmux = (...args: string[]) =>
    execFileSync("tmux", ["-u", "-f", "/dev/null", "-S", socket, ...args], {
      encoding: "utf8",
      timeout: COMMAND_LIMIT_MS,
      env: { ...process.env, TMUX: "", EXEC_SERVER_URL: "local", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
  tmux(
    ...["set-option", "-g", "status", "off", ";"],
    ...["set-option", "-g", "default-terminal", "screen-256color", ";"],
    ...["set-option", "-s", "escape-time", "0", ";"],
    ...["new-session", "-d", "-x", "100", "-y", "30", "--", "/bin/sh", "-c", WRAPPER, "sh", ...command],
  );
  const close = () => void spawnSync("tmux", ["-S", socket, "kill-server"], { timeout: COMMAND_LIMIT_MS });
  atExit(close);
  const look = () => {
    const state = "cursor #{cursor_x},#{cursor_y} shown #{cursor_flag} alternate #{alternate_on} " +
      "keys #{keypad_cursor_flag},#{keypad_flag} mouse #{mouse_any_flag} wrap #{wrap_flag} " +
      "margins #{scroll_region_upper}-#{scroll_region_lower} size #{pane_width}x#{pane_height}";
    return tmux("capture-pane", "-p", "-e") + tmux("display-message", "-p", state);
  };
  return {
    type: (text) => void tmux("send-keys", "-l", "--", text),
    press: (...keys) => void tmux("send-keys", ...keys),
    resize: (cols, rows) => void tmux("resize-window", "-x", String(cols), "-y", String(rows)),
    look,
    async painted(pattern) {
      const deadline = Date.now() + LIMIT_MS;
      let last = "";
      for (let same = 0; same < STILL; same++) {
        const now = look();
        if (now !== last || !pattern.test(now)) same = 0;
        last = now;
        if (Date.now() > deadline) throw new Error(`the screen does not show ${pattern}, or moves:\n${last}`);
        await new Promise((ok) => setTimeout(ok, POLL_MS));
      }
      return last;
    },
    close,
  };
}
