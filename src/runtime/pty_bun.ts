/** A pseudo-terminal under Bun, made with the kernel's own interface (pty(7), ioctl_tty(2)) instead of openpty(3):
 * `open` reports its error as a code, while errno is lost on the way through FFI. */
import { closeSync, constants, openSync } from "node:fs";
import { libc, ptr } from "./bun.ts";
import { ptyLibc } from "./pty_libc_bun.ts";
import type { TerminalInput, TerminalSize } from "./terminal.ts";
import { codedError, errorCode, unsupported } from "./coded_error.ts";

// Linux, the same on all architectures that Bun has.
const O_CLOEXEC = 0o2000000;
const TIOCSPTLCK = 0x40045431;
const TIOCGPTN = 0x80045430;
const TIOCSWINSZ = 0x5414;
const TCGETS = 0x5401;
const TCSETS = 0x5402;
const TERMIOS_BYTES = 64; // the kernel's struct has 36; the first field is c_iflag
const IUTF8 = 0o40000;
const C_LFLAG = 3;
const ICANON = 0o2;
const POLLIN = 1;

/** Both ends of a terminal. Neither is inherited; reading and writing the master does not block. */
export interface Pty {
  readonly master: number;
  readonly slave: number;
  /** The slave's name; a session leader without a terminal that opens it gets it as its controlling terminal. */
  readonly path: string;
}

/** @throws an error with a POSIX code, or with UNSUPPORTED where there are no terminals */
export function openPty(size: TerminalSize): Pty {
  const { ioctl } = ptyLibc();
  const master = open("/dev/ptmx", constants.O_NONBLOCK);
  try {
    const zero = new Int32Array(1);
    const index = new Int32Array(1);
    if (ioctl(master, TIOCSPTLCK, ptr(zero)) !== 0 || ioctl(master, TIOCGPTN, ptr(index)) !== 0) {
      throw unsupported("/dev/ptmx is not a terminal multiplexer");
    }
    setSize(master, size);
    const path = `/dev/pts/${index[0]}`;
    const slave = open(path, 0);
    const termios = new Uint32Array(TERMIOS_BYTES / 4);
    if (ioctl(slave, TCGETS, ptr(termios)) === 0) {
      termios[0] = (termios[0] ?? 0) | IUTF8; // else erasing a character takes one byte of several
      ioctl(slave, TCSETS, ptr(termios));
    }
    return { master, slave, path };
  } catch (error) {
    closeSync(master);
    throw error;
  }
}

/** What a reader of the slave finds. */
export function unreadInput(slave: number): TerminalInput {
  const pollfd = new Int32Array([slave, POLLIN]);
  const termios = new Uint32Array(TERMIOS_BYTES / 4);
  const isKnown = ptyLibc().ioctl(slave, TCGETS, ptr(termios)) === 0;
  return {
    some: libc.poll(ptr(pollfd), 1, 0) > 0,
    byLine: isKnown && ((termios[C_LFLAG] ?? 0) & ICANON) !== 0,
  };
}

/** Sets the window size through the master. */
export function setSize(master: number, size: TerminalSize): void {
  ptyLibc().ioctl(master, TIOCSWINSZ, ptr(new Uint16Array([size.rows, size.cols, 0, 0])));
}

function open(path: string, flags: number): number {
  try {
    return openSync(path, constants.O_RDWR | constants.O_NOCTTY | O_CLOEXEC | flags);
  } catch (error) {
    const code = errorCode(error);
    if (code === "EMFILE" || code === "ENFILE" || code === "ENOMEM") throw error;
    if (code === "ENOSPC") throw codedError("EAGAIN", "no terminal is left (kernel.pty.max)");
    throw unsupported(`${path}: ${code}`);
  }
}
