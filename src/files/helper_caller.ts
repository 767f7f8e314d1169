/** The requests of a helper, typed by their declarations. */
import * as v from "valibot";
import { internalError } from "../protocol/error.ts";
import { type Caller, jsonParams } from "../rpc/caller.ts";

/** Makes a caller. @param request sends one request and resolves with its result */
export function helperCaller(request: (name: string, params: unknown) => Promise<unknown>): Caller {
  return {
    async call(method, params) {
      const parsed = v.safeParse(method.result, await request(method.name, jsonParams(params)));
      if (parsed.success) return parsed.output;
      throw internalError(`${method.name}: unusable result of the file helper: ${parsed.issues[0].message}`);
    },
  };
}
