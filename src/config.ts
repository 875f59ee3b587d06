import { isAbsolute, resolve } from 'node:path';
import { isDeny } from './decision/decision.ts';
import { spiffeIdFrom, trustDomainFrom } from './identity/spiffe-id.ts';
import type { SpiffeId, TrustDomain } from './identity/spiffe-id.ts';
import type { ConfigProblem } from './config-fields.ts';
import { integer, listOf, optional, readFields, section, text, word } from './config-fields.ts';

/** Where a server listens: a Unix socket by its absolute path, or a host and port. */
export type Address =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** An external issuer whose task tokens are accepted too. */
export interface AcceptedIssuer {
  /** Exact value of `iss`. */
  readonly issuer: string;
  /** Where its JWKS is: an `https:` URL, or a file. */
  readonly jwks: string;
  /** Accepted `alg` values. */
  readonly algorithms: readonly ('ES256' | 'Ed25519' | 'RS256')[];
}

/** The whole configuration, frozen. Every field has a default except `trustDomains`. */
export interface Config {
  /** SPIFFE trust domains whose workloads may call, such as `acme.test`. */
  readonly trustDomains: readonly TrustDomain[];
  /** What Envoy asks. */
  readonly extAuthz: {
    /** Default `unix:/run/remit/check.sock`. */
    readonly listen: readonly Address[];
    /** Where the caller's identity comes from. Default `peer`. */
    readonly identity: 'peer' | 'xfcc';
    /** `xfcc` only: the SPIFFE ID of the proxy that writes the header, which its `By` must equal. */
    readonly proxyId: SpiffeId | null;
    /** `xfcc` only: peers that may forward another workload's identity. Default none. */
    readonly forwarders: readonly SpiffeId[];
    /** What a token must be bound to. Default `certificate`. */
    readonly binding: 'certificate' | 'spiffe-id';
    /** Checks decided at the same time; one more is answered 503 `overloaded`. Default 256, 1 to 100,000. */
    readonly checksInFlight: number;
    /** Longest life of an accepted token. Default 900 s, 1 to 900. */
    readonly maxTokenSeconds: number;
    /** Tolerated difference of clocks. Default 5 s, 0 to 60. */
    readonly clockSkewSeconds: number;
    /** Envoy's `max_request_bytes`: a body of this length may be cut. Default 65,536, 1 to 1,048,576. */
    readonly maxBodyBytes: number;
  };
  /** The sidecar's own SVID and the bundle of its trust domain, as PEM files. Needed by the issuer. */
  readonly svid: { readonly certificate: string; readonly key: string; readonly bundle: string } | null;
  /** The token issuer; absent where this process has no such role. */
  readonly issuer: {
    /** Default `127.0.0.1:9472`. */
    readonly listen: Address;
    /** The issuer identifier, an `https:` URL without a trailing slash; `iss` of every token. */
    readonly url: string;
    /** Private key that signs tokens, PKCS#8 PEM; made with mode 0600 where it does not exist. */
    readonly signingKey: string;
    /** Life of a token. Default 300 s, 10 to 900. */
    readonly tokenSeconds: number;
    /** Life of a task whose intent names none. Default 900 s, 10 to 86,400. */
    readonly taskSeconds: number;
  } | null;
  /** External issuers. Default none. */
  readonly acceptedIssuers: readonly AcceptedIssuer[];
  /** Liveness and readiness. Default `127.0.0.1:9471`. */
  readonly admin: { readonly listen: Address };
  /** Folder with the schema, the catalog, the entities and the policies. Default `cedar-policies`. */
  readonly policies: string;
  /** SQLite file with tasks and records. Default `/var/lib/remit/state.db`. */
  readonly state: string;
}

const address = text<Address>('`unix:/path` or `host:port`', (value) => {
  if (value.startsWith('unix:')) {
    const path = value.slice('unix:'.length);
    if (!isAbsolute(path)) return { problem: 'the path of the socket must be absolute' };
    return Buffer.byteLength(path) > 107 ? { problem: 'a socket path has at most 107 bytes' } : { kind: 'unix', path };
  }
  const at = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(value);
  const port = Number(at?.[3]);
  return at && port <= 65_535 ? { kind: 'tcp', host: at[1] ?? at[2] ?? '', port } : { problem: 'it is neither' };
});

const trustDomain = text<TrustDomain>('a SPIFFE trust domain such as `acme.test`', (value) => {
  const parsed = trustDomainFrom(value);
  return isDeny(parsed) ? { problem: parsed.detail } : parsed;
});

const spiffeId = text<SpiffeId>('a SPIFFE ID such as `spiffe://acme.test/gateway`', (value) => {
  const parsed = spiffeIdFrom(value);
  return isDeny(parsed) ? { problem: parsed.detail } : parsed;
});

const issuerUrl = text<string>('an `https:` URL without query, fragment and trailing slash', (value) =>
  /^https:\/\/[A-Za-z0-9.-]+(?::\d{1,5})?(?:\/[A-Za-z0-9._~/-]*[A-Za-z0-9._~-])?$/.test(value)
    ? value
    : { problem: 'it is not' },
);

const pathIn = (folder: string) => text<string>('a path', (value) => resolve(folder, value));

const stateFile = (folder: string) =>
  text<string>('`sqlite:/path`', (value) =>
    value.startsWith('sqlite:')
      ? resolve(folder, value.slice('sqlite:'.length))
      : { problem: 'only `sqlite:` is known' },
  );

const configField = (folder: string) =>
  section<Config>({
    trustDomains: listOf(trustDomain),
    extAuthz: section<Config['extAuthz']>({
      listen: optional(listOf(address), [{ kind: 'unix', path: '/run/remit/check.sock' }]),
      identity: optional(word(['peer', 'xfcc']), 'peer'),
      proxyId: optional(spiffeId, null),
      forwarders: optional(listOf(spiffeId), []),
      binding: optional(word(['certificate', 'spiffe-id']), 'certificate'),
      checksInFlight: optional(integer(1, 100_000), 256),
      maxTokenSeconds: optional(integer(1, 900), 900),
      clockSkewSeconds: optional(integer(0, 60), 5),
      maxBodyBytes: optional(integer(1, 1_048_576), 65_536),
    }),
    svid: optional(section({ certificate: pathIn(folder), key: pathIn(folder), bundle: pathIn(folder) }), null),
    issuer: optional(
      section({
        listen: optional(address, { kind: 'tcp', host: '127.0.0.1', port: 9472 }),
        url: issuerUrl,
        signingKey: optional(pathIn(folder), '/var/lib/remit/signing-key.pem'),
        tokenSeconds: optional(integer(10, 900), 300),
        taskSeconds: optional(integer(10, 86_400), 900),
      }),
      null,
    ),
    acceptedIssuers: optional(
      listOf(
        section<AcceptedIssuer>({
          issuer: issuerUrl,
          jwks: text('an `https:` URL or a file', (value) =>
            value.startsWith('https://') ? value : resolve(folder, value),
          ),
          algorithms: optional(listOf(word(['ES256', 'Ed25519', 'RS256'])), ['ES256']),
        }),
      ),
      [],
    ),
    admin: section({ listen: optional(address, { kind: 'tcp', host: '127.0.0.1', port: 9471 }) }),
    policies: optional(pathIn(folder), resolve(folder, 'cedar-policies')),
    state: optional(stateFile(folder), '/var/lib/remit/state.db'),
  });

/**
 * The configuration of a YAML text; scalar fields are overridden by `REMIT_…` variables.
 *
 * @param folder relative paths in the file start here: the folder of the file
 * @returns every problem of the file in one go, each with line, column and field
 */
export function configFrom(
  yaml: string,
  at: {
    readonly file: string;
    readonly folder: string;
    readonly environment: Readonly<Record<string, string | undefined>>;
  },
): { readonly value: Config } | { readonly problems: readonly ConfigProblem[] } {
  const read = readFields(configField(at.folder), { text: yaml, file: at.file, environment: at.environment });
  if ('problems' in read) return read;
  const problem = contradiction(read.value);
  return problem === null ? read : { problems: [{ file: at.file, line: 0, column: 0, ...problem }] };
}

const contradiction = (config: Config): { readonly field: string; readonly message: string } | null => {
  if (config.extAuthz.identity === 'xfcc' && config.extAuthz.proxyId === null) {
    return { field: 'extAuthz.proxyId', message: 'is required with `identity: xfcc`: whose header is believed' };
  }
  if (config.issuer !== null && config.svid === null) {
    return { field: 'svid', message: 'is required with `issuer`: its certificate serves HTTPS' };
  }
  return null;
};

/** One problem as a line: `file:line:column: field message`. */
export const configProblemText = (problem: ConfigProblem): string =>
  [
    problem.line === 0 ? problem.file : `${problem.file}:${problem.line}:${problem.column}`,
    problem.field === '' ? problem.message : `\`${problem.field}\` ${problem.message}`,
  ].join(': ');
