import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { listeningSidecar, takenPort, watchMeshSidecar } from '../../src/serve/mesh-sidecar.ts';
import { until } from '../until.ts';

const tls = { transport_socket: { name: 'envoy.transport_sockets.tls' } };
/** The chains of `virtualInbound` as istiod writes them. */
const strict = [
  { filter_chain_match: { destination_port: 15_006 } },
  { filter_chain_match: { transport_protocol: 'tls', application_protocols: ['istio-http/1.1', 'istio-h2'] }, ...tls },
  { filter_chain_match: { transport_protocol: 'tls' }, ...tls },
];
const permissive = [
  {
    filter_chain_match: { transport_protocol: 'tls', application_protocols: ['istio-peer-exchange', 'istio'] },
    ...tls,
  },
  { filter_chain_match: { transport_protocol: 'raw_buffer' } },
  { filter_chain_match: { transport_protocol: 'tls' } },
];
const inboundOf = (chains: readonly object[]): object => ({
  configs: [{ active_state: { listener: { name: 'virtualInbound', filter_chains: chains } } }],
});
const infoOf = (annotations: object = {}, mode = 'REDIRECT'): object => ({
  node: { id: 'sidecar~10.1.0.2~remit.remit', metadata: { INTERCEPTION_MODE: mode, ANNOTATIONS: annotations } },
});
const portAnnotation = (name: string, value: string): object => ({ [`traffic.sidecar.istio.io/${name}`]: value });
const ofPort = (chain: object): object => ({
  ...chain,
  filter_chain_match: { destination_port: 9472, transport_protocol: 'tls' },
});

// Issue 39, point 5.
describe('takenPort', () => {
  it.each([
    ['in STRICT mode', infoOf(), strict, 9472],
    ['in STRICT mode of another port', infoOf(portAnnotation('excludeInboundPorts', '9472')), strict, 9474],
    ['none that is excluded', infoOf(portAnnotation('excludeInboundPorts', '9471, 9472,9474')), strict, null],
    ['none that is not included', infoOf(portAnnotation('includeInboundPorts', '8080')), strict, null],
    ['an info if all are included', infoOf(portAnnotation('includeInboundPorts', '*')), strict, 9472],
    ['none without interception', infoOf({}, 'NONE'), strict, null],
    ['none in PERMISSIVE mode', infoOf(), permissive, null],
    ['a port that is STRICT by itself', infoOf(), [...permissive, ofPort(tls)], 9472],
    [
      'none that is passed on by itself',
      infoOf(portAnnotation('excludeInboundPorts', '9474')),
      [...strict, ofPort({})],
      null,
    ],
  ])('gives %s', (_what, info, chains, port) => {
    expect(takenPort({ info, inbound: inboundOf(chains) }, [9472, 9474])).toBe(port);
  });

  it('gives none by what is no answer of Envoy', () => {
    for (const other of [null, 1, [], {}, { configs: 'x' }, { configs: [null] }])
      expect(takenPort({ info: other, inbound: other }, [9472])).toBeNull();
  });
});

describe('watchMeshSidecar', () => {
  const config = { authority: { listen: [] }, issuer: { listen: { host: '0.0.0.0', port: 9472 } } };
  type Watched = Parameters<typeof watchMeshSidecar>[0];
  const POD = { KUBERNETES_SERVICE_HOST: '10.96.0.1' };

  it('says why an authority in a pod serves nobody, until the sidecar is gone', async () => {
    const admin = createServer((request, response) =>
      response.end(JSON.stringify(request.url === '/server_info' ? infoOf() : inboundOf(strict))),
    ).listen(0, '127.0.0.1');
    await once(admin, 'listening');
    const { port: adminPort } = admin.address() as AddressInfo;
    const watched = watchMeshSidecar(config as unknown as Watched, POD, { adminPort, everyMs: 20 });
    await until(() => watched.problem() !== null);
    expect(watched.problem()).toMatch(
      /^a sidecar of a mesh ends the TLS of port 9472 .*`sidecar\.istio\.io\/inject: "false"`/,
    );
    admin.close();
    admin.closeAllConnections();
    await until(() => watched.problem() === null);
    await watched.close();
  });

  it('asks nobody outside of pods, and if nobody else is served', async () => {
    const local = { ...config, issuer: { listen: { host: '127.0.0.1', port: 9472 } } };
    let asked = 0;
    const admin = createServer((_request, response) => {
      asked += 1;
      response.end('{}');
    }).listen(0, '127.0.0.1');
    await once(admin, 'listening');
    const { port: adminPort } = admin.address() as AddressInfo;
    const options = { adminPort, everyMs: 1 };
    const watched = [[config, {}] as const, [local, POD] as const].map(([of, environment]) =>
      watchMeshSidecar(of as unknown as Watched, environment, options),
    );
    // What they asked would have arrived before.
    await fetch(`http://127.0.0.1:${adminPort}`);
    expect([asked, ...watched.map(({ problem }) => problem())]).toEqual([1, null, null]);
    await Promise.all(watched.map((each) => each.close()));
    admin.close();
  });
});

// Issue 39, point 6: the port of the admin server was taken, and nothing said by whom.
const IN_POD = { KUBERNETES_SERVICE_HOST: '10.96.0.1' };

describe('listeningSidecar', () => {
  it.each([
    [
      'a sidecar that intercepts nothing',
      infoOf({}, 'NONE'),
      IN_POD,
      expect.stringContaining('interceptionMode: NONE'),
    ],
    ['none if it intercepts', infoOf(), IN_POD, null],
    ['none outside of pods', infoOf({}, 'NONE'), {}, null],
    ['none by what is no answer of Envoy', 'x', IN_POD, null],
  ])('names %s', async (_what, info, environment, found) => {
    const admin = createServer((_request, response) => response.end(JSON.stringify(info))).listen(0, '127.0.0.1');
    await once(admin, 'listening');
    const { port: adminPort } = admin.address() as AddressInfo;
    expect(await listeningSidecar(environment, { adminPort })).toEqual(found);
    admin.close();
    admin.closeAllConnections();
    await once(admin, 'close');
    expect(await listeningSidecar(environment, { adminPort })).toBeNull();
  });
});
