/** What `--help` says beside options and examples. */

/** A part of a help text. */
export interface Note {
  readonly title: string;
  readonly body: string;
}

const ENDS = "The command's own, or 128+n when signal n ended it";
const START_CODES = `  125  Could not be run, or the server was lost
  126  Not executable
  127  Not found`;

/** By command. */
export const HELP_NOTES: ReadonlyMap<string, readonly Note[]> = new Map<string, readonly Note[]>([
  ["serve", [{
    title: "Signals",
    body: `  INT, TERM  End the server and all that it started; a second one at once
  HUP        With wss://: read the files of the certificate again; else like TERM`,
  }]],
  ["run", [{
    title: "Signals",
    body:
      `  Ctrl-C           Interrupts the command; a second one kills it. With --tty it is a key like any other
  TERM, HUP        End the command and all that came of it: SIGTERM, and SIGKILL after 2 s or a second signal
  QUIT, USR1/USR2  Are passed on
  Ctrl-Z           Stops the command and us; \`fg\` continues both`,
  }, {
    title: "Exit codes",
    body: `  ${ENDS}
  124  --timeout was over
${START_CODES}
  141  Nobody reads our output any more`,
  }]],
  ["shell", [{
    title: "Keys at the beginning of a line",
    body: `  ~.       Leave: end the shell and all that came of it
  ~d       Detach: leave it running; prints for how long, and how to come back with \`attach\`
  ~Ctrl-Z  Suspend us; the shell goes on
  ~?       Help
  ~~       A tilde`,
  }, {
    title: "Exit codes",
    body: `  ${ENDS}; 0 after ~d\n${START_CODES}`,
  }]],
  ["attach", [{
    title: "Terminals",
    body: "  A process with a terminal gets ours, with the keys of `shell`: ~. ends it, ~d leaves it running",
  }, {
    title: "Exit codes",
    body: `  ${ENDS}; 0 after ~d
  1    Could not be attached, or the session was lost
  124  Its time was over
  130  Ctrl-C ended --read-only; the process goes on`,
  }]],
  ["ps", [{
    title: "Columns",
    body: `  CPU, MEM  What the process and its descendants use
  OUT       What it has written so far`,
  }]],
  ["fs", [{
    title: "Files of any size",
    body: `  cat and put need no more memory for a large file, and at most 4 MiB are on the way at a time
  put changes the file in one step at the end: when it fails, or the connection breaks, the old content stays.
  With hard links, in a folder that takes no entry, or on another server than ours: written in place, as it comes
  A broken connection ends both with exit code 1; nothing is begun again by itself`,
  }]],
  ["kill", [{
    title: "Exit codes",
    body: "  0  Done\n  1  Nothing was running, or something could not be killed",
  }]],
]);
