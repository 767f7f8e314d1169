import { hasCode } from "../../src/protocol/error.ts";

/** The code that a promise is rejected with. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return hasCode(error) ? error.code : `no code: ${String(error)}`;
  }
  return "it resolved";
}
