import { dirname, join } from 'node:path';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { integer, listOf, mapOf, optional, section, text, word } from './fields.ts';
import { address, algorithmNames, httpsUrl, identifier, jwksIn, pathIn, spiffeIdText } from './values.ts';
import type { Address } from './values.ts';

/** Whose keys are where. */
export interface KeyedIssuer {
  /** Exact value of `iss`. */
  readonly issuer: string;
  /** Where its JWKS is: an `https:` URL, or a file. */
  readonly jwks: string;
  /** Accepted `alg` values. Default `ES256`. */
  readonly algorithms: readonly ('ES256' | 'Ed25519' | 'RS256')[];
}

/** An issuer whose tokens say on whose behalf an agent acts. */
export interface SubjectIssuerConfig extends KeyedIssuer {
  readonly kind: 'access-token' | 'id-jag' | 'jwt-svid';
  /** What `aud` must name; default the `url` of the issuer. */
  readonly audience: string | null;
  /** Whether values of `scope` are actions that limit the grant; a token without one then grants nothing. Default `ignored`. */
  readonly scope: 'limits' | 'ignored';
  /** Attributes that the catalog declares in `subjectAttributes`, each with the claim that says it. Default none. */
  readonly attributes: ReadonlyMap<string, string>;
}

/** Who may push Security Event Tokens. */
export interface TransmitterConfig extends KeyedIssuer {
  /** What `aud` must be or contain; default the `url` of the issuer. */
  readonly audience: string | null;
  /** Issuers whose users it may name. Default itself. */
  readonly subjectIssuers: readonly string[] | null;
}

/** What one client of the issuer may take. A client is a SPIFFE ID; at `signals.listen` it is an address. */
export interface IssuerLimitsConfig {
  /** Connections of all clients. Default 1,024, 16 to 65,536. */
  readonly connections: number;
  /** Connections of one client. Default 64, 1 to 4,096. */
  readonly connectionsPerClient: number;
  /** Requests of one client under way at once, of ordinary ones and of withdrawals each. Default 32, 1 to 1,024. */
  readonly requestsInFlightPerClient: number;
  /** Ordinary requests of one client in a second: for tokens, introspections, tasks and keys. Default 100, 1 to 1,000,000. */
  readonly requestsPerSecondPerClient: number;
  /** Ends, suspensions, revocations, changes of context and signals of one client in a second. Default 100, 1 to 1,000,000. */
  readonly withdrawalsPerSecondPerClient: number;
  /** Unfinished TLS handshakes of one address. Default 256, 1 to 4,096. */
  readonly handshakesPerAddress: number;
}

const MAX_CONNECTIONS = 65_536;
const MAX_OF_ONE = 4_096;
const MAX_IN_FLIGHT = 1_024;
const MAX_PER_SECOND = 1_000_000;

/** The values where the section `issuer.limits` does not say otherwise. */
export const defaultIssuerLimits: IssuerLimitsConfig = {
  connections: 1_024,
  connectionsPerClient: 64,
  requestsInFlightPerClient: 32,
  requestsPerSecondPerClient: 100,
  withdrawalsPerSecondPerClient: 100,
  handshakesPerAddress: 256,
};

/** The token issuer. */
export interface IssuerConfig {
  /** Default `127.0.0.1:9472`. */
  readonly listen: Address;
  /** The issuer identifier, an `https:` URL without a trailing slash; `iss` of every token. */
  readonly url: string;
  /**
   * Keys that sign tokens: one PEM file, or a folder of them, which can be rotated. Made where there is nothing. Default
   * `signing-keys` beside the state file.
   */
  readonly signingKey: string;
  /** Key that signs transaction tokens, one PEM file; made where it does not exist. Default none: none are signed. */
  readonly transactionKey: string | null;
  /** Life of a token. Default 300 s, 10 to 900. */
  readonly tokenSeconds: number;
  /** Life of a task whose intent names none. Default 900 s, 10 to 86,400. */
  readonly taskSeconds: number;
  /** A task unused for so long expires. Default none, 10 to 86,400. */
  readonly idleSeconds: number | null;
  /** What a change of a named value does; a name without a rule revokes, save that a newly attested value asks. */
  readonly context: ReadonlyMap<string, 'suspend' | 'revoke' | 'ask'>;
  /** Workloads that attest named values of the tasks of others, as `operators` do. Default none. */
  readonly contextWriters: readonly SpiffeId[];
  /** Workloads that may introspect every token. Default none. */
  readonly introspectors: readonly SpiffeId[];
  /** Workloads that may see, suspend, resume and cancel the tasks of others. Default none. */
  readonly operators: readonly SpiffeId[];
  readonly subjectIssuers: readonly SubjectIssuerConfig[];
  readonly limits: IssuerLimitsConfig;
  /** `null`: no signals are received. */
  readonly signals: {
    /** A further address where signals alone are taken, without a client certificate. Default none. */
    readonly listen: Address | null;
    readonly transmitters: readonly TransmitterConfig[];
    /** Event name to effect, beside the defaults. */
    readonly effects: ReadonlyMap<string, 'revoke' | 'suspend' | 'ask' | 'risk' | 'attest' | 'ignore'>;
  } | null;
}

/** The section `issuer` as it is written; `null` is the default beside the state file. */
export type IssuerFields = Omit<IssuerConfig, 'signingKey'> & { readonly signingKey: string | null };

/** What the section stands for in full, with what it does not name beside the state file. */
export const issuerConfigOf = (fields: IssuerFields, state: string): IssuerConfig =>
  Object.freeze({ ...fields, signingKey: fields.signingKey ?? join(dirname(state), 'signing-keys') });

/** Any name that a claim can have, such as `groups` or `https://acme.test/tenant`. */
const claimName = text<string>('the name of a claim', (value) =>
  /^[\x21-\x7e]{1,256}$/.test(value)
    ? value
    : { problem: 'it has at most 256 characters, printable ASCII without spaces' },
);

/** Reads the section `issuer`. */
export const issuer = (folder: string) => {
  const keyed = { issuer: identifier, jwks: jwksIn(folder), algorithms: algorithmNames };
  return section<IssuerFields>({
    listen: optional(address, { kind: 'tcp', host: '127.0.0.1', port: 9472 }),
    url: httpsUrl,
    signingKey: optional(pathIn(folder), null),
    transactionKey: optional(pathIn(folder), null),
    tokenSeconds: optional(integer(10, 900), 300),
    taskSeconds: optional(integer(10, 86_400), 900),
    idleSeconds: optional(integer(10, 86_400), null),
    context: optional(mapOf(word(['suspend', 'revoke', 'ask'])), new Map()),
    contextWriters: optional(listOf(spiffeIdText), []),
    introspectors: optional(listOf(spiffeIdText), []),
    operators: optional(listOf(spiffeIdText), []),
    subjectIssuers: optional(
      listOf(
        section<SubjectIssuerConfig>({
          ...keyed,
          kind: word(['access-token', 'id-jag', 'jwt-svid']),
          audience: optional(identifier, null),
          scope: optional(word(['limits', 'ignored']), 'ignored'),
          attributes: optional(mapOf(claimName), new Map()),
        }),
      ),
      [],
    ),
    limits: section<IssuerLimitsConfig>({
      connections: optional(integer(16, MAX_CONNECTIONS), defaultIssuerLimits.connections),
      connectionsPerClient: optional(integer(1, MAX_OF_ONE), defaultIssuerLimits.connectionsPerClient),
      requestsInFlightPerClient: optional(integer(1, MAX_IN_FLIGHT), defaultIssuerLimits.requestsInFlightPerClient),
      requestsPerSecondPerClient: optional(integer(1, MAX_PER_SECOND), defaultIssuerLimits.requestsPerSecondPerClient),
      withdrawalsPerSecondPerClient: optional(
        integer(1, MAX_PER_SECOND),
        defaultIssuerLimits.withdrawalsPerSecondPerClient,
      ),
      handshakesPerAddress: optional(integer(1, MAX_OF_ONE), defaultIssuerLimits.handshakesPerAddress),
    }),
    signals: optional(
      section({
        listen: optional(address, null),
        transmitters: listOf(
          section<TransmitterConfig>({
            ...keyed,
            audience: optional(identifier, null),
            subjectIssuers: optional(listOf(identifier), null),
          }),
        ),
        effects: optional(mapOf(word(['revoke', 'suspend', 'ask', 'risk', 'attest', 'ignore'])), new Map()),
      }),
      null,
    ),
  });
};
