/** Scenarios of commands in a terminal. */
import { LAST_SESSION, type ToolCall } from "./model.ts";
import { command, exitCodeIn, expect, outputAt, type Scenario } from "./scenario.ts";

/** Types keys into the command that still runs, and shows what comes of it. */
function type(chars: string): ToolCall {
  return { tool: "write_stdin", arguments: { session_id: LAST_SESSION, chars, yield_time_ms: 1_500 } };
}

const keys: Scenario = {
  name: "keys in a terminal",
  calls: [
    command("stty size; cat; echo end of input; exit 3", { tty: true, yield_time_ms: 1_000 }),
    type("hello\n"),
    type("\x04"),
  ],
  check(evidence) {
    const [start, echo, end] = [0, 1, 2].map((i) => outputAt(evidence, i));
    expect(/24 80/.test(start ?? ""), "a terminal of 24 rows and 80 columns", start);
    expect(/hello[\r\n]+hello/.test(echo ?? ""), "the echo, and what cat says", echo);
    expect(/end of input/.test(end ?? "") && exitCodeIn(end ?? "") === 3, "Ctrl-D to end the input", end);
    return "echo, Ctrl-D, exit code 3";
  },
};

const interrupted: Scenario = {
  name: "Ctrl-C in a terminal",
  calls: [command("sleep 1000", { tty: true, yield_time_ms: 1_000 }), type("\x03")],
  check(evidence) {
    const end = outputAt(evidence, 1);
    expect(exitCodeIn(end) === 130, "Ctrl-C to end it", end);
    return "130";
  },
};

/** The scenarios. */
export const terminals: readonly Scenario[] = [keys, interrupted];
