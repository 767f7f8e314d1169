/** The list. */
import type { Workload } from "../workload.ts";
import { files } from "./files.ts";
import { growth } from "./growth.ts";
import { listen } from "./listen.ts";
import { resume } from "./resume.ts";
import { burst, inFlight, roundTrip } from "./round_trip.ts";
import { sandboxed, sandboxedSingle } from "./sandbox.ts";
import { startAlone, startTogether } from "./start.ts";
import { input, lines, output } from "./streams.ts";
import { ptyEcho, ptyFlooded } from "./terminal.ts";
import { walk } from "./walk.ts";

/** Every workload, in the order in which they run. */
export const WORKLOADS: readonly Workload[] = [
  roundTrip,
  inFlight,
  burst,
  startAlone,
  ...startTogether,
  output,
  lines,
  input,
  ptyEcho,
  ptyFlooded,
  ...files,
  walk,
  resume,
  sandboxed,
  sandboxedSingle,
  listen,
  ...growth,
];
