import { Client, credentials } from '@grpc/grpc-js';
import type { ChannelCredentials } from '@grpc/grpc-js';
import type { CertificateAuthority, IssuedSvid } from '../../../../src/dev/authority.ts';
import { authorizationHandler, refusalsFrom } from '../../../../src/sidecar/envoy/authorization.ts';
import { NetworkServer } from '../../../../src/sidecar/envoy/network/network-server.ts';
import type { NetworkRules } from '../../../../src/sidecar/envoy/network/network-server.ts';
import { AuthorizationServer } from '../../../../src/sidecar/envoy/server.ts';
import type { CheckHandler, ExtAuthzServerOptions } from '../../../../src/sidecar/envoy/server-options.ts';
import type { SpiffeId } from '../../../../src/core/identity/spiffe-id.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';
import { after } from '../../../../src/core/runtime/timers.ts';
import { heldSvid, svidOf, trustDomain } from '../../../authority/feed/serving.ts';
import { tlsWith } from '../../../authority/feed/raw-client.ts';
import { closedAfterEach } from '../../../builders/with-closers.ts';
import { must } from '../../../builders/must.ts';
import { mustSpiffeId } from '../../../builders/spiffe-id.ts';
import { checksBy } from '../handlers.ts';
import { answerWith } from '../wire.ts';

/** What came of a call: its status, and the bytes of all its answers. */
export interface CallOutcome {
  readonly code: number;
  readonly details: string;
  readonly answers: readonly string[];
}

const decisionId = '0198c0de-0000-7000-8000-000000000001';
const response = { helpUrl: null };
const refuse = refusalsFrom({ response, newDecisionId: () => decisionId });

/** Decides by the request alone, so that two servers must answer it alike. */
export const decideAlike = (): CheckHandler =>
  authorizationHandler(
    checksBy(async (facts) =>
      answerWith({
        decisionId,
        decision: 'kind' in facts ? facts : { kind: 'allow', policyIds: ['p'], observed: null },
      }),
    ),
    { rules: { partialBodyBytes: 65_536 }, response, refuse },
  );

/** A server of both kinds of address, with its trust domain. */
export interface NetworkStage {
  readonly acme: CertificateAuthority;
  readonly server: AuthorizationServer;
  /** Our own HTTP/2, in clear. */
  readonly local: string;
  /** grpc-js over mutual TLS. */
  readonly target: string;
  readonly port: number;
  readonly refused: string[];
  readonly faults: unknown[];
  /** An SVID of the trust domain. */
  readonly svid: CertificateAuthority['svid'];
  readonly renew: (svid: IssuedSvid, by?: CertificateAuthority) => void;
  /** Replaces the pinned callers. */
  readonly pin: (...paths: readonly string[]) => void;
  /** A client of an address. */
  readonly client: (address: string, using?: ChannelCredentials) => Client;
  /** A client over TLS with an SVID of the trust domain. */
  readonly caller: (path?: string) => Promise<Client>;
}

/** Stages, each closed after its test. */
export function networkStages(): (
  handler?: CheckHandler,
  options?: Partial<ExtAuthzServerOptions & NetworkRules>,
) => Promise<NetworkStage> {
  const closers = closedAfterEach();
  return async (handler = decideAlike(), options = {}) => {
    const acme = await trustDomain('acme.test');
    const own = heldSvid(svidOf(await acme.svid('/remit'), acme));
    const refused: string[] = [];
    const faults: unknown[] = [];
    let callers: readonly SpiffeId[] = [mustSpiffeId('spiffe://acme.test/gateway')];
    const rules: NetworkRules = {
      svid: own,
      callers: () => callers,
      maxBodyBytes: 65_536,
      onRefused: (address, problem) => refused.push(`${address}: ${problem}`),
      ...systemPorts,
      after,
      ...options,
    };
    const server = new AuthorizationServer(handler, {
      ...systemPorts,
      refuse,
      // Long enough that nothing is denied for its deadline on a busy machine.
      maxCheckMs: 60_000,
      onFault: (error) => faults.push(error),
      network: (parts) => new NetworkServer({ ...rules, ...parts }),
      ...options,
    });
    closers.push(() => server.close(50));
    const [local = '', bound = ''] = must(await server.listen(['127.0.0.1:0', '0.0.0.0:0']));
    const port = Number(bound.split(':')[1]);
    const target = `127.0.0.1:${port}`;
    const client = (address: string, using = credentials.createInsecure()): Client => {
      const made = new Client(address, using, {
        'grpc.use_local_subchannel_pool': 1,
        'grpc.ssl_target_name_override': 'remit',
      });
      closers.push(() => made.close());
      return made;
    };
    return {
      acme,
      server,
      local,
      target,
      port,
      refused,
      faults,
      svid: (path, of) => acme.svid(path, of),
      renew: (svid, by = acme) => own.renew(svidOf(svid, by)),
      pin: (...paths) => (callers = paths.map((path) => mustSpiffeId(`spiffe://acme.test${path}`))),
      client,
      caller: async (path = '/gateway') => client(target, tlsWith(await acme.svid(path), acme.bundlePem)),
    };
  };
}

const asTheyAre = (bytes: Buffer): Buffer => bytes;

/** Sends messages on a call, half-closes it, and gives what came of it. */
export const exchange = (
  client: Client,
  path: string,
  messages: readonly Uint8Array[],
  { timeoutMs = 60_000 } = {},
): Promise<CallOutcome> =>
  new Promise((resolve) => {
    const answers: string[] = [];
    const call = client.makeBidiStreamRequest(path, asTheyAre, asTheyAre, { deadline: Date.now() + timeoutMs });
    call.on('data', (bytes: Buffer) => answers.push(bytes.toString('hex')));
    call.on('error', () => undefined);
    call.on('status', ({ code, details }) => resolve({ code, details, answers }));
    for (const message of messages) call.write(Buffer.from(message));
    call.end();
  });
