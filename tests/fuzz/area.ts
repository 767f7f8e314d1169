/** What is fuzzed: an area has cases that can be written down as JSON, and a way to try one. */
import type fc from "fast-check";
import type * as v from "valibot";
import type { World } from "./world.ts";

/** A part of the server's surface. */
export interface Area<C> {
  readonly name: string;
  /** Checks a case that was written down. */
  readonly schema: v.GenericSchema<unknown, C>;
  readonly cases: fc.Arbitrary<C>;
  /** Cases that are not left to chance: they come before the others, in every round. */
  readonly always?: readonly C[];
  /** Cases of the short mode: together the areas take about a minute. */
  readonly shortRuns: number;
  /** Tries a case in which {@link World.place} has put the real paths. @throws Error when the server does wrong */
  attempt(world: World, one: C): Promise<void>;
}

/** An area whose cases only it knows: they are checked again before they are used. */
export interface AnyArea {
  readonly name: string;
  readonly cases: fc.Arbitrary<unknown>;
  readonly always: readonly unknown[];
  readonly shortRuns: number;
  /** @throws Error when the case is none of this area, or the server does wrong */
  attempt(world: World, one: unknown): Promise<void>;
}
