/** Which runtime this is: the one question that only `runtime/` may ask. */
export type RuntimeName = "bun" | "deno" | "node";

/** The runtime that executes this program. */
export const runtime: RuntimeName = "Bun" in globalThis ? "bun" : "Deno" in globalThis ? "deno" : "node";
