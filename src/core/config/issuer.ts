/** Reads the section `issuer`. */
import { dirname, join } from 'node:path';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { integer, oneOf, optional, textOf } from '../runtime/fields.ts';
import { listed, named, section } from './fields.ts';
import { issuerLimits, type IssuerLimits } from './issuer-limits.ts';
import { address, algorithmNames, httpsUrl, identifier, jwksIn, pathIn, secondsOrOff, spiffeIdText } from './values.ts';
import { type ToolPinsConfig, toolPinsSection } from './tool-pins.ts';
import type { Address } from './values.ts';

/** An issuer and the location of its keys. */
export interface KeyedIssuer {
  /** Exact value of `iss`. */
  readonly issuer: string;
  /** Location of its JWKS: an `https:` URL or a file. */
  readonly jwks: string;
  /** Accepted `alg` values. Default `ES256`. */
  readonly algorithms: readonly ('ES256' | 'Ed25519' | 'RS256')[];
}

/** An issuer whose tokens name the subject on whose behalf an agent acts. */
export interface SubjectIssuerConfig extends KeyedIssuer {
  readonly kind: 'access-token' | 'id-jag' | 'jwt-svid';
  /** Required value in `aud`. Default: the `url` of the issuer. */
  readonly audience: string | null;
  /** `limits`: values of `scope` are actions that limit the grant, so a token without `scope` grants nothing. Default `ignored`. */
  readonly scope: 'limits' | 'ignored';
  /** Attributes that the catalog declares in `subjectAttributes`, each with the claim that holds it. Default none. */
  readonly attributes: ReadonlyMap<string, string>;
}

/** A transmitter that may push Security Event Tokens. */
export interface TransmitterConfig extends KeyedIssuer {
  /** Required value in `aud`. Default: the `url` of the issuer. */
  readonly audience: string | null;
  /** Issuers whose subjects its events may name. Default: itself. */
  readonly subjectIssuers: readonly string[] | null;
}

/** What can be sent to receivers of signals. */
export const SIGNALLED = ['ends', 'stops', 'stolen-tokens'] as const;

/** One of `SIGNALLED`. */
export type Signalled = (typeof SIGNALLED)[number];

/** A receiver to which Security Event Tokens are pushed. */
export interface SignalReceiverConfig {
  /** Names it in metrics, the log and the state: lower-case letters, digits and `-`, at most 64. */
  readonly name: string;
  readonly url: string;
  /** `aud` of its tokens. Default: `url`. */
  readonly audience: string | null;
  /** What is sent to it. Default: everything. */
  readonly events: readonly Signalled[];
  /** File with a bearer token. Default none. */
  readonly tokenFile: string | null;
  /** PEM certificates that may vouch for its server. Default: those of Node.js. */
  readonly ca: string | null;
}

/** The token issuer. */
export interface IssuerConfig {
  /** Default `127.0.0.1:9472`. */
  readonly listen: Address;
  /** The issuer identifier, an `https:` URL without a trailing slash; `iss` of every token. */
  readonly url: string;
  /**
   * Keys that sign tokens: a PEM file, or a folder of PEM files, which can be rotated. Created if missing. Default `signing-keys` beside the
   * state file.
   */
  readonly signingKey: string;
  /** Key that signs transaction tokens, one PEM file, created if missing. Default none: no transaction tokens are issued. */
  readonly transactionKey: string | null;
  /** Lifetime of a token. Default 300 s, 10 to 900. */
  readonly tokenSeconds: number;
  /** Lifetime of a task whose intent names none. Default 900 s, 10 to 86,400. */
  readonly taskSeconds: number;
  /** Idle time after which a task expires. Default none, 10 to 86,400. */
  readonly idleSeconds: number | null;
  /**
   * Wait before a similar task is declared again after a stop by somebody else; `null` (`off`): none. Default 300 s, 1 to 86,400.
   */
  readonly stoppedTaskWaitSeconds: number | null;
  /**
   * Effect of a change of a named value. Without a rule a change revokes the task, except that a newly attested value asks the policies.
   */
  readonly context: ReadonlyMap<string, 'suspend' | 'revoke' | 'ask'>;
  /** Workloads that may attest named values for the tasks of others, as `operators` may. Default none. */
  readonly contextWriters: readonly SpiffeId[];
  /** Workloads that may introspect any token. Default none. */
  readonly introspectors: readonly SpiffeId[];
  /** Workloads that may see, suspend, resume and cancel the tasks of others. Default none. */
  readonly operators: readonly SpiffeId[];
  readonly subjectIssuers: readonly SubjectIssuerConfig[];
  readonly limits: IssuerLimits;
  /** `null`: signals are neither received nor sent. */
  readonly signals: {
    /** A further address that accepts only signals, without a client certificate. Default none. */
    readonly listen: Address | null;
    readonly transmitters: readonly TransmitterConfig[];
    /** Effects by event name, overriding the defaults. */
    readonly effects: ReadonlyMap<string, (typeof SIGNAL_EFFECTS)[number]>;
    /** How long a stop by a signal holds, in minutes, 1 to 525,600. Default `null`: until an operator lifts it. */
    readonly stopMinutes: number | null;
    /** Receivers of the signals of this issuer. Default none. */
    readonly transmit: readonly SignalReceiverConfig[];
  } | null;
  /** `null`: no MCP server is polled. */
  readonly toolPins: ToolPinsConfig | null;
}

/** The names of the receivers of signals. */
export const receiverNames = (issuer: Pick<IssuerConfig, 'signals'> | null): readonly string[] =>
  issuer?.signals?.transmit.map(({ name }) => name) ?? [];

/** What an event can do. */
const SIGNAL_EFFECTS = ['revoke', 'suspend', 'ask', 'risk', 'attest', 'stop-agent', 'stop-user', 'ignore'] as const;

/** The parsed section `issuer`; `null` is the default beside the state file. */
export type IssuerFields = Omit<IssuerConfig, 'signingKey'> & { readonly signingKey: string | null };

/** The section with all defaults filled in; those of paths are beside the state file. */
export const issuerConfigOf = (fields: IssuerFields, state: string): IssuerConfig =>
  Object.freeze({ ...fields, signingKey: fields.signingKey ?? join(dirname(state), 'signing-keys') });

/** Any valid name of a claim, such as `groups` or `https://acme.test/tenant`. */
const claimName = textOf<string>('the name of a claim', (value) =>
  /^[\x21-\x7e]{1,256}$/.test(value) ? value : { problem: 'at most 256 characters of printable ASCII without spaces' },
);

const receiverName = textOf<string>('a name of lower-case letters, digits and `-`', (value) =>
  /^[a-z0-9][a-z0-9-]{0,63}$/.test(value) ? value : { problem: `got \`${value}\`` },
);

const signalReceiver = (folder: string) =>
  section<SignalReceiverConfig>({
    name: receiverName,
    url: httpsUrl,
    audience: optional(identifier, null),
    events: optional(listed(oneOf(SIGNALLED)), SIGNALLED),
    tokenFile: optional(pathIn(folder), null),
    ca: optional(pathIn(folder), null),
  });

/** Reads the section `issuer`. */
export const issuerSection = (folder: string) => {
  const keyed = { issuer: identifier, jwks: jwksIn(folder), algorithms: algorithmNames };
  return section<IssuerFields>({
    listen: optional(address, { kind: 'tcp', host: '127.0.0.1', port: 9472 }),
    url: httpsUrl,
    signingKey: optional(pathIn(folder), null),
    transactionKey: optional(pathIn(folder), null),
    tokenSeconds: optional(integer(10, 900), 300),
    taskSeconds: optional(integer(10, 86_400), 900),
    idleSeconds: optional(integer(10, 86_400), null),
    stoppedTaskWaitSeconds: optional(secondsOrOff(1, 86_400), 300),
    context: optional(named(oneOf(['suspend', 'revoke', 'ask'])), new Map()),
    contextWriters: optional(listed(spiffeIdText), []),
    introspectors: optional(listed(spiffeIdText), []),
    operators: optional(listed(spiffeIdText), []),
    subjectIssuers: optional(
      listed(
        section<SubjectIssuerConfig>({
          ...keyed,
          kind: oneOf(['access-token', 'id-jag', 'jwt-svid']),
          audience: optional(identifier, null),
          scope: optional(oneOf(['limits', 'ignored']), 'ignored'),
          attributes: optional(named(claimName), new Map()),
        }),
      ),
      [],
    ),
    limits: section<IssuerLimits>(issuerLimits),
    signals: optional(
      section({
        listen: optional(address, null),
        transmitters: optional(
          listed(
            section<TransmitterConfig>({
              ...keyed,
              audience: optional(identifier, null),
              subjectIssuers: optional(listed(identifier), null),
            }),
          ),
          [],
        ),
        effects: optional(named(oneOf(SIGNAL_EFFECTS)), new Map()),
        stopMinutes: optional(integer(1, 525_600), null),
        transmit: optional(listed(signalReceiver(folder)), []),
      }),
      null,
    ),
    toolPins: optional(toolPinsSection(folder), null),
  });
};
