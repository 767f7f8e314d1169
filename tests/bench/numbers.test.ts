/** The arithmetic of the benchmark: spreads, ratios, who cannot, and that nothing hangs. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { within } from "../../scripts/bench/limit.ts";
import { ratioOf, rowsOf } from "../../scripts/bench/report/figures.ts";
import { valuesTable } from "../../scripts/bench/report/tables.ts";
import { run } from "../../scripts/bench/run.ts";
import { spreadOf } from "../../scripts/bench/statistics.ts";
import type { Contender, Open, Scene, Workload } from "../../scripts/bench/workload.ts";

const scene: Scene = {
  scratch: "",
  codex: "codex",
  ssh: undefined,
  bare: { kind: "none", seconds: () => Promise.reject(new Error("left out")) },
  pick: (full) => full,
};

function workload(
  contenders: Readonly<Partial<Record<Contender, Open>>>,
  unit: "ms" | "/s" = "ms",
): Workload {
  return {
    name: "w",
    about: "",
    figures: [{ key: "f", title: "f", unit }],
    rounds: 3,
    limitMs: 1_000,
    contenders,
  };
}

const measuring = (round: () => Promise<number>, close = () => Promise.resolve()): Open => () =>
  Promise.resolve({ round: async () => ({ f: await round() }), close });
const constant = (value: number) => measuring(() => Promise.resolve(value));

test("the median lies in the middle, the percentiles between neighbours", () => {
  assert.equal(spreadOf([4, 1, 3, 2, 5]), { rounds: 5, p10: 1.4, median: 3, p90: 4.6 });
  assert.equal(spreadOf([2, 1]).median, 1.5);
  assert.equal(spreadOf([7]), { rounds: 1, p10: 7, median: 7, p90: 7 });
});

test("a ratio above 1 is good for ours, whether less or more is better", async () => {
  for (const [unit, expected] of [["ms", 4], ["/s", 0.25]] as const) {
    const report = await run(workload({ json: constant(2), codex: constant(8) }, unit), 3, scene);
    assert.equal(rowsOf([report]).map((row) => ratioOf(row, "codex")), [expected]);
  }
});

test("the order turns with each round, and the first round is not counted", async () => {
  const order: string[] = [];
  const named = (name: string) =>
    measuring(() => {
      order.push(name);
      return Promise.resolve(order.length);
    });
  const { results } = await run(workload({ json: named("a"), codex: named("b") }), 2, scene);
  assert.equal(order, ["a", "b", "b", "a", "a", "b"]);
  assert.equal(results.map(({ values }) => values["f"]), [[4, 5], [3, 6]]);
});

test("who fails is closed and reported, the others go on", async () => {
  let closed = 0;
  const failing = measuring(() => Promise.reject(new Error("too large\nmore")), () => {
    closed++;
    return Promise.resolve();
  });
  const report = await run(workload({ json: constant(1), codex: failing }), 2, scene);
  assert.is(closed, 1);
  assert.is(report.results.find(({ contender }) => contender === "codex")?.cannot, "too large");
  assert.equal(report.results.find(({ contender }) => contender === "json")?.values, { f: [1, 1] });
  assert.match(valuesTable([report]), /cannot/);
});

test("work that never ends is given up", async () => {
  const keepsAlive = setInterval(() => {}, 1_000);
  try {
    await within(10, "it", new Promise(() => {}));
    assert.unreachable();
  } catch (error) {
    assert.match(String(error), "it took longer than 0.01 s");
  } finally {
    clearInterval(keepsAlive);
  }
});

test.run();
