/** What is wrong when a TLS connection fails, and what to do. */
import { hasCode } from "../protocol/error.ts";

const UNTRUSTED =
  "its certificate is not of an authority that is trusted here: pass the authority's certificate with --tls-ca FILE " +
  "(or EXEC_SERVER_TLS_CA; in a program `tls.ca`)";
const NAMED_OTHERWISE = "its certificate is for another name: connect by a name or address that stands in it";
const WANTS_CERTIFICATE =
  "it takes no client without a certificate: pass one with --tls-cert FILE and --tls-key FILE (in a program `tls.cert` and `tls.key`)";
const REFUSED_CERTIFICATE =
  "it ended the connection in the handshake; it may not accept this client certificate: it must be of an authority in the server's --tls-client-ca";
const NO_TLS = "it does not speak TLS: use ws://, or start it with --listen wss://… and a certificate";

/** By error code, as OpenSSL and the runtimes name them. */
const PROBLEMS: ReadonlyMap<string, string> = new Map([
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", UNTRUSTED],
  ["UNABLE_TO_GET_ISSUER_CERT", UNTRUSTED],
  ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", UNTRUSTED],
  ["SELF_SIGNED_CERT_IN_CHAIN", UNTRUSTED],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", UNTRUSTED],
  ["ERR_TLS_CERT_ALTNAME_INVALID", NAMED_OTHERWISE],
  ["CERT_HAS_EXPIRED", "its certificate has expired: it needs a new one (a SIGHUP makes the server read it)"],
  ["CERT_NOT_YET_VALID", "its certificate is not valid yet: compare the clocks of both machines"],
]);

/** Advice for a failed `wss://` connection; undefined when the failure has nothing to do with TLS, as far as one can tell. */
export function tlsProblem(error: unknown, hasCertificate: boolean): string | undefined {
  if (!hasCode(error)) return undefined;
  const known = PROBLEMS.get(error.code);
  if (known !== undefined) return known;
  // Bun says EPROTO and names the alert in the text.
  const told = `${error.code} ${error.message}`;
  if (/CERTIFICATE_?REQUIRED/i.test(told)) return WANTS_CERTIFICATE;
  if (/WRONG_VERSION_NUMBER|wrong version number|InvalidContentType/i.test(told)) return NO_TLS;
  const cut = error.code === "ECONNRESET" || /ALERT/i.test(told);
  return cut && hasCertificate ? REFUSED_CERTIFICATE : undefined;
}
