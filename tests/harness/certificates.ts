/** Certificates for tests, made by openssl. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { tempDir } from "./temp.ts";

const LIMIT_MS = 30_000;
const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** Paths of a certificate and its key, as PEM. */
export interface Pair {
  cert: string;
  key: string;
}

/** An authority that issues certificates. */
export interface Authority extends Pair {
  /** @param names such as `DNS:localhost,IP:127.0.0.1` */
  issue(name: string, names?: string): Pair;
}

/** Makes an authority. */
export function makeAuthority(name: string): Authority {
  const folder = tempDir();
  const own = pairIn(folder, "authority");
  openssl(
    "req",
    "-x509",
    ...NEW_KEY,
    "-keyout",
    own.key,
    "-out",
    own.cert,
    "-subj",
    `/CN=${name}`,
    "-days",
    "2",
  );
  let count = 0;
  return {
    ...own,
    issue(subject, names = "DNS:localhost,IP:127.0.0.1") {
      const pair = pairIn(folder, `issued-${count++}`);
      const request = `${pair.cert}.csr`, extensions = `${pair.cert}.ext`;
      openssl("req", ...NEW_KEY, "-keyout", pair.key, "-out", request, "-subj", `/CN=${subject}`);
      writeFileSync(extensions, `subjectAltName=${names}\n`);
      const signed = ["-CA", own.cert, "-CAkey", own.key, "-CAcreateserial", "-days", "2"];
      openssl("x509", "-req", "-in", request, ...signed, "-extfile", extensions, "-out", pair.cert);
      return pair;
    },
  };
}

function pairIn(folder: string, name: string): Pair {
  return { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
}

function openssl(...args: string[]): void {
  execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"], timeout: LIMIT_MS });
}
