import { request as httpsRequest } from 'node:https';
import type { IncomingHttpHeaders } from 'node:http';
import { join, resolve } from 'node:path';
import { createAuthority } from '../../../src/dev/authority.ts';
import type { CertificateAuthority, IssuedCertificate } from '../../../src/dev/authority.ts';
import type { Decision } from '../../../src/core/decision/decision.ts';
import type { IssuerLimits } from '../../../src/core/config/issuer-limits.ts';
import { defaultLimits } from './default-limits.ts';
import type { IssuerBound } from '../../../src/authority/issuer/bounds/limits.ts';
import { IssuerServer } from '../../../src/authority/issuer/server.ts';
import type { TlsMaterial } from '../../../src/authority/issuer/server.ts';
import type { IssuerParts } from '../../../src/authority/issuer/services.ts';
import type { Turns } from '../../../src/authority/issuer/bounds/turns.ts';
import { SigningKeys } from '../../../src/authority/issuer/keys/signing-keys.ts';
import type { SpanAttributes } from '../../../src/authority/issuer/tracer.ts';
import type { LedgerRecord } from '../../../src/core/ledger/record.ts';
import { authorize } from '../../../src/core/policy/authorize.ts';
import type { Question } from '../../../src/core/policy/question.ts';
import { loadPolicies } from '../../../src/core/policy/loading/load.ts';
import type { PolicySet } from '../../../src/core/policy/loading/load.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { after } from '../../../src/core/runtime/timers.ts';
import type { Store } from '../../../src/core/state/store.ts';
import { issuerServices } from '../../builders/issuer.ts';
import type { IssuerChange } from '../../builders/issuer.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { must } from '../../builders/must.ts';

export const issuerUrl = 'https://issuer.acme.test';
export const audience = 'https://payments.acme.test';

/** A recorded span. */
export interface SeenSpan {
  readonly name: string;
  readonly parent: string | null;
  readonly traceId: string;
  readonly attributes: SpanAttributes;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

export interface Asking {
  readonly method?: string;
  readonly body?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  /** `null` presents no certificate. */
  readonly as?: IssuedCertificate | null;
}

export interface Bench {
  readonly authority: CertificateAuthority;
  readonly planner: IssuedCertificate;
  readonly reporter: IssuedCertificate;
  readonly services: IssuerParts;
  readonly store: Store;
  /** Decides as the example policies do. */
  readonly grant: (question: Question) => Decision;
  /** Hash of the example policies. */
  readonly policySet: string;
  readonly server: IssuerServer;
  readonly tls: TlsMaterial;
  readonly port: number;
  readonly spans: SeenSpan[];
  /** Route and status of each finished request. */
  readonly answered: (readonly [string, number | null])[];
  /** Records of refusals. */
  readonly refusals: LedgerRecord[];
  readonly problems: string[];
  /** Refusals by limits, with the client. */
  readonly refused: (readonly [IssuerBound, string])[];
  readonly limits: IssuerLimits;
  readonly ask: (path: string, asking?: Asking) => Promise<Answer>;
  /** Requests a token; a parameter set to `undefined` is omitted. */
  readonly token: (change?: Parameters, as?: IssuedCertificate) => Promise<Answer>;
  /** Posts a form; a parameter set to `undefined` is omitted. */
  readonly form: (path: string, parameters: Parameters, as?: IssuedCertificate) => Promise<Answer>;
  /** Exchanges a token. */
  readonly exchange: (subjectToken: string, change?: Parameters, as?: IssuedCertificate) => Promise<Answer>;
  readonly close: () => Promise<void>;
}

export type Parameters = Readonly<Record<string, string | undefined>>;

export const details = (change: Record<string, unknown> = {}): string =>
  JSON.stringify([
    {
      type: 'urn:remit:task',
      locations: [audience],
      actions: ['payments.read'],
      purpose: 'pay the invoices of may',
      ...change,
    },
  ]);

/** Differences from a plain issuer. */
export type BenchChange = IssuerChange & {
  readonly store?: Store;
  readonly limits?: Partial<IssuerLimits>;
  readonly turns?: Turns;
};

let policies: Promise<PolicySet> | null = null;
const examplePolicies = (): Promise<PolicySet> =>
  (policies ??= loadPolicies(resolve(import.meta.dirname, '../../../cedar-policies')).then((loaded) => {
    if ('findings' in loaded) throw new Error(JSON.stringify(loaded.findings));
    return loaded;
  }));

/** Decides as the example policies do. */
export async function exampleGrant(): Promise<(question: Question) => Decision> {
  const set = await examplePolicies();
  return (question) => authorize(set, question);
}

/** The real issuer over real mTLS, with the example policies, on a state file in `folder`. */
export async function startBench(
  folder: string,
  { limits: given = {}, turns, store: givenStore, ...change }: BenchChange = {},
): Promise<Bench> {
  const authority = await createAuthority('acme.test', systemPorts);
  const own = await authority.svid('/ns/remit/sa/issuer', { dns: ['issuer.acme.test'] });
  const [planner, reporter] = await Promise.all([
    authority.svid('/ns/agents/sa/planner'),
    authority.svid('/ns/agents/sa/reporter'),
  ]);
  const set = await examplePolicies();
  const ports = change.ports ?? systemPorts;
  const signingKeys = must(await SigningKeys.open(join(folder, 'signing-key.pem'), { ports, after }));
  const spans: SeenSpan[] = [];
  const answered: (readonly [string, number | null])[] = [];
  const refusals: LedgerRecord[] = [];
  const problems: string[] = [];
  const store = givenStore ?? mustOpen(join(folder, 'state.db'), { nowMs: ports.nowMs });
  const services = issuerServices(
    { url: issuerUrl, store, set, signingKeys, onProblem: (line) => void problems.push(line) },
    {
      append: (record) => refusals.push(record) > 0,
      tracer: {
        start: (name, attributes, parent) => {
          const place = {
            traceId: Buffer.from(systemPorts.randomBytes(16)).toString('hex'),
            spanId: Buffer.from(systemPorts.randomBytes(8)).toString('hex'),
          };
          return {
            ...place,
            end: (last) =>
              void spans.push({ name, parent, traceId: place.traceId, attributes: { ...attributes, ...last } }),
          };
        },
      },
      ...change,
    },
  );
  const tls = { certificate: own.certPem, key: own.keyPem, bundle: authority.bundlePem };
  const refused: (readonly [IssuerBound, string])[] = [];
  // Tests send more concurrent requests than any agent.
  const limits = {
    ...defaultLimits(),
    connectionsPerClient: 256,
    requestsInFlightPerClient: 256,
    requestsPerSecondPerClient: 10_000,
    withdrawalsPerSecondPerClient: 10_000,
    ...given,
  };
  const server = new IssuerServer({
    services,
    tls,
    limits,
    ...(turns === undefined ? {} : { turns }),
    onProblem: (message) => problems.push(message),
    onRefused: (bound, client) => refused.push([bound, client]),
    onAnswered: ({ route, status }) => answered.push([route, status]),
  });
  const { port } = await server.listen('127.0.0.1', 0);
  const ask = (path: string, asking: Asking = {}) =>
    call({ port, bundle: authority.bundlePem, as: planner, ...asking, path });
  const form = (path: string, parameters: Parameters, as: IssuedCertificate = planner) => {
    const sent = Object.entries(parameters).filter((pair): pair is [string, string] => pair[1] !== undefined);
    const body = new URLSearchParams(sent).toString();
    return ask(path, { as, method: 'POST', body, headers: formHeaders });
  };
  const token = (parameters: Parameters = {}, as: IssuedCertificate = planner) => {
    const all = {
      grant_type: 'client_credentials',
      resource: audience,
      authorization_details: details(),
      ...parameters,
    };
    return form('/oauth/token', all, as);
  };
  const exchange = (subjectToken: string, parameters: Parameters = {}, as: IssuedCertificate = planner) =>
    form('/oauth/token', { ...exchangeParameters, subject_token: subjectToken, ...parameters }, as);
  return {
    authority,
    planner,
    reporter,
    services,
    store,
    grant: await exampleGrant(),
    policySet: set.hash,
    server,
    tls,
    port,
    spans,
    answered,
    refusals,
    problems,
    refused,
    limits,
    ask,
    token,
    form,
    exchange,
    close: async () => {
      await server.close(1_000);
      signingKeys.close();
      store.close();
    },
  };
}

const exchangeParameters = {
  grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
  subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
};

export const formHeaders = { 'content-type': 'application/x-www-form-urlencoded' };

interface Call extends Asking {
  readonly port: number;
  readonly bundle: string;
  readonly path: string;
}

const call = ({ port, bundle, path, method = 'GET', body, headers = {}, as }: Call): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const request = httpsRequest(
      {
        host: '127.0.0.1',
        port,
        path,
        method,
        headers,
        ca: bundle,
        servername: 'issuer.acme.test',
        agent: false,
        ...(as === null || as === undefined ? {} : { cert: as.certPem, key: as.keyPem }),
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text,
            json: text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {},
          });
        });
      },
    );
    request.on('error', reject);
    request.end(body);
  });
