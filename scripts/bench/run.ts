/** Runs one workload: every contender in every round, in an order that turns round by round. */
import { memoryOf } from "../../tests/harness/proc.ts";
import { within } from "./limit.ts";
import { type Spread, spreadOf } from "./statistics.ts";
import {
  type Contender,
  CONTENDERS,
  type Figure,
  type Running,
  type Scene,
  type Workload,
} from "./workload.ts";

/** What one contender did of a workload. */
export interface Result {
  readonly contender: Contender;
  /** Each value of each figure, in the order of the rounds. */
  readonly values: Readonly<Record<string, readonly number[]>>;
  readonly spreads: Readonly<Record<string, Spread>>;
  /** The most memory its server ever used, in MiB; absent where there is no server of its own. */
  readonly peakMiB?: number;
  /** Why there are no numbers. */
  readonly cannot?: string;
}

/** A workload that has been measured. */
export interface Report {
  readonly name: string;
  readonly about: string;
  readonly figures: readonly Figure[];
  readonly results: readonly Result[];
}

interface Entrant {
  readonly contender: Contender;
  readonly running: Running;
  readonly values: Record<string, number[]>;
}

/** Longest text of {@link Result.cannot}. */
const MAX_REASON_CHARS = 160;

/** Measures a workload. A contender that fails is reported and left out from then on. */
export async function run(workload: Workload, rounds: number, scene: Scene): Promise<Report> {
  const { name, about, figures, limitMs } = workload;
  const results: Result[] = [];
  let entrants: Entrant[] = [];
  const fail = (contender: Contender, error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    const [line = ""] = reason.split("\n");
    const cannot = line.slice(0, MAX_REASON_CHARS);
    console.error(`${name}, ${contender}: ${cannot}`);
    results.push({ contender, values: {}, spreads: {}, cannot });
  };
  const close = async ({ contender, running }: Entrant) => {
    try {
      await within(limitMs, "its end", running.close());
      if (contender === "ssh") await scene.ssh?.endCommands();
    } catch (error) {
      console.error(`${name}, ${contender}: ${error}`);
    }
  };
  try {
    for (const contender of CONTENDERS) {
      const open = workload.contenders[contender];
      if (!open || (contender === "codex" && !scene.codex) || (contender === "ssh" && !scene.ssh)) continue;
      try {
        const running = await within(limitMs, "its start", open(scene));
        entrants.push({ contender, running, values: {} });
      } catch (error) {
        fail(contender, error);
      }
    }
    for (let round = 0; round <= rounds; round++) {
      for (const entrant of round % 2 === 0 ? [...entrants] : entrants.toReversed()) {
        try {
          const measured = await within(limitMs, "a round", entrant.running.round());
          if (round === 0) continue; // caches are cold
          for (const [key, value] of Object.entries(measured)) (entrant.values[key] ??= []).push(value);
        } catch (error) {
          fail(entrant.contender, error);
          entrants = entrants.filter((each) => each !== entrant);
          await close(entrant);
        }
      }
    }
    results.push(...entrants.map(resultOf));
  } finally {
    for (const entrant of entrants) await close(entrant);
  }
  return { name, about, figures, results };
}

function resultOf({ contender, running, values }: Entrant): Result {
  const spreads = Object.fromEntries(Object.entries(values).map(([key, each]) => [key, spreadOf(each)]));
  const peak = running.pid === undefined ? {} : { peakMiB: memoryOf(running.pid, "VmHWM") };
  return { contender, values, spreads, ...peak };
}
