import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import type { ClientHttp2Session } from 'node:http2';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { framed } from '../../src/sidecar/envoy/grpc/grpc-messages.ts';
import { CHECK_PATH } from '../../src/sidecar/envoy/proto.ts';
import { freePort } from '../free-port.ts';
import { measure } from './bench.ts';
import type { Bench } from './bench.ts';
import { capturedCheck } from './capture.ts';
import type { Run } from './load.ts';
import { reuse } from './loads.ts';
import { RemitUnderTest } from './remit-under-test.ts';
import { latencyOf } from './statistics.ts';

const SOCKET = 'Remit, Unix socket';
const NETWORK = 'Remit, mutual TLS';
const SCENARIO = 'reuse, one client';
const UNDER_WAY = 16;
const WARM_SECONDS = 5;

/** One Remit that is asked in clear over its Unix socket, and over mutual TLS, in turn and by the same client. */
export async function measureNetwork(bench: Bench): Promise<void> {
  const { collectorPort, domain, effort, results, say, stage } = bench;
  const port = await freePort();
  const remit = await RemitUnderTest.start(stage, domain, { name: 'network', collectorPort: null, network: port });
  const gateway = await domain.authority.svid('/gateway', { ttlSeconds: 43_200 });
  const tls = { ca: domain.authority.bundlePem, cert: gateway.certPem, key: gateway.keyPem };
  const contenders = [
    { name: SOCKET, open: () => connectHttp2('http://remit', { createConnection: () => connect(remit.socket) }) },
    {
      name: NETWORK,
      open: () =>
        connectHttp2('https://remit', {
          createConnection: () =>
            connectTls({
              host: '127.0.0.1',
              port,
              ...tls,
              ALPNProtocols: ['h2'],
              checkServerIdentity: () => undefined,
            }),
        }),
    },
  ];
  const message = framed(await capturedCheck(stage, await reuse(bench, remit), { collectorPort }));
  for (const { open } of contenders) await load(open(), message, WARM_SECONDS);
  for (let round = 0; round < effort.rounds * 2; round += 1) {
    for (const { name, open } of round % 2 === 0 ? contenders : contenders.toReversed()) {
      const before = await remit.metric('remit_decisions_total', 'decision="allow"');
      const run = await measure(bench, { contender: name, scenario: SCENARIO, pid: remit.pid }, () =>
        load(open(), message, effort.seconds),
      );
      const allowed = (await remit.metric('remit_decisions_total', 'decision="allow"')) - before;
      if (allowed < run.requests) throw new Error('not every check was allowed');
    }
  }
  const of = (what: 'cpuUs' | 'p50Ms'): number => results.ratio(what, [NETWORK, SCENARIO], [SOCKET, SCENARIO]);
  say(
    `over mutual TLS a check takes ${of('cpuUs').toFixed(2)} of the processor time, and ${of('p50Ms').toFixed(2)} of the time`,
  );
  await remit.end();
}

const HEADERS = { ':method': 'POST', ':path': CHECK_PATH, 'content-type': 'application/grpc', te: 'trailers' };

/** Repeats a check in a closed loop on one connection, as one worker of Envoy would. */
async function load(session: ClientHttp2Session, message: Buffer, seconds: number): Promise<Run> {
  await once(session, 'connect');
  const tookMs: number[] = [];
  const endMs = performance.now() + seconds * 1_000;
  const repeat = async (): Promise<void> => {
    while (performance.now() < endMs) {
      const beganMs = performance.now();
      const stream = session.request(HEADERS);
      stream.resume().end(message);
      await once(stream, 'close');
      tookMs.push(performance.now() - beganMs);
    }
  };
  await Promise.all(Array.from({ length: UNDER_WAY }, repeat));
  session.close();
  const requestsPerSecond = tookMs.length / seconds;
  return { requests: tookMs.length, requestsPerSecond, failed: 0, cpuUs: null, ...latencyOf(tookMs) };
}
