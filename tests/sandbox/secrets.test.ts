// What a program could connect to the server with is hidden from every sandbox, also from one that may read the rest.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { startServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { refusal } from "../harness/wire_client.ts";
import { at, managed, special } from "./policies.ts";

test("connection files and tokens cannot be read or replaced from inside", async () => {
  const folder = tempDir();
  const runtime = join(folder, "run");
  const token = join(folder, "token");
  const named = join(folder, "named.json");
  writeFileSync(token, "a chosen token");
  const servers: [string[], string, Record<string, string>][] = [
    [[], join(runtime, "exec-server"), {}],
    [["--connection-file", named], named, {}],
    [["--ws-auth", "capability-token", "--ws-token-file", token], token, {
      authorization: "Bearer a chosen token",
    }],
  ];
  for (const [args, secret, headers] of servers) {
    const server = await startServer({ args, env: { XDG_RUNTIME_DIR: runtime } });
    try {
      const client = await server.connect({ headers });
      const file = secret.endsWith("exec-server") ? join(secret, `${server.pid}.json`) : secret;
      const policies = [
        managed([special("root", "read")]),
        managed([special("root", "read"), at(folder, "write")]),
        managed([special("root", "write")]),
        managed([special("root", "read"), at(secret, "write")]),
        // The file itself is deeper than the folder that hides it.
        managed([special("root", "read"), at(file, "read")]),
        managed([special("root", "read"), at(folder, "write"), at(secret, "read"), at(file, "write")]),
        managed([special("minimal", "read"), at(folder, "read"), at(file, "write")]),
      ];
      for (const [index, sandbox] of policies.entries()) {
        const what = `${args.join(" ")}, policy ${index}`;
        const script = 'cat "$0" && echo OUT; echo x >"$0" && echo OUT; mv "$0" "$0.x" && echo OUT; true';
        await client.startProcess(what, ["/bin/sh", "-c", script, file], { sandbox });
        const { stdout } = await client.collect(what);
        assert.is(stdout, "", what);
        const path = pathToFileURL(file).href;
        assert.match((await refusal(client.call("fs/readFile", { path, sandbox })))[1], /os error/, what);
        const dataBase64 = "eA==";
        assert.match(
          (await refusal(client.call("fs/writeFile", { path, dataBase64, sandbox })))[1],
          /os error/,
          what,
        );
        assert.match((await refusal(client.call("fs/remove", { path, sandbox })))[1], /os error/, what);
      }
      await client.close();
    } finally {
      await server.stop();
    }
  }
});

test.run();
