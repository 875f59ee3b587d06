import type { Client } from '@grpc/grpc-js';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { ACCESS_LOG_PATH, AUTHORIZATION_SERVICE, CHECK_PATH } from '../../../../src/sidecar/envoy/proto.ts';
import { thoroughly } from '../../../thoroughly.ts';
import { checkRequests } from '../messages.ts';
import { envoyCheckRequestType } from '../protos.ts';
import { exchange, networkStages } from './network-stage.ts';

const stage = networkStages();

/** A request that Envoy sent, of an agent with a certificate. */
const ordinary = envoyCheckRequestType.serialize({
  attributes: {
    source: { principal: 'spiffe://acme.test/ns/agents/sa/planner' },
    request: {
      time: { seconds: 1_760_000_000, nanos: 0 },
      http: {
        id: '1',
        method: 'POST',
        path: '/v1/payments/p-1?full=1',
        host: 'payments.acme.test',
        scheme: 'https',
        protocol: 'HTTP/2',
        size: 3,
        raw_body: Buffer.from('{}\n'),
        header_map: {
          headers: [
            { key: ':method', raw_value: Buffer.from('POST') },
            { key: ':path', raw_value: Buffer.from('/v1/payments/p-1?full=1') },
            { key: ':authority', raw_value: Buffer.from('payments.acme.test') },
            { key: 'authorization', raw_value: Buffer.from('Bearer x') },
            { key: 'content-length', raw_value: Buffer.from('3') },
          ],
        },
      },
    },
  },
});
const HEALTH = '/grpc.health.v1.Health';
const service = (name: string): Buffer => Buffer.concat([Buffer.of(0x0a, name.length), Buffer.from(name)]);
const EMPTY = Buffer.alloc(0);

/** What both servers make of the messages; the one over TLS is grpc-js, which has seen more clients than ours. */
async function bothOf(clients: readonly [Client, Client], path: string, messages: readonly Uint8Array[]) {
  const [local, network] = await Promise.all(clients.map((client) => exchange(client, path, messages)));
  return { local, network };
}

describe('our HTTP/2 and grpc-js', () => {
  it('answer random checks with the same bytes', async () => {
    const { client, local, caller, faults } = await stage();
    const clients = [client(local), await caller()] as const;
    await fc.assert(
      fc.asyncProperty(checkRequests, async (request) => {
        const bytes = envoyCheckRequestType.serialize(request);
        const answers = await bothOf(clients, CHECK_PATH, [bytes]);
        expect(answers.network).toEqual(answers.local);
        expect(answers.local?.answers).toHaveLength(1);
      }),
      { numRuns: thoroughly(2_000, 200) },
    );
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 4_096 }), async (bytes) => {
        const answers = await bothOf(clients, CHECK_PATH, [bytes]);
        expect(answers.network).toEqual(answers.local);
        expect(answers.local?.answers).toHaveLength(1);
      }),
      { numRuns: thoroughly(1_000, 100) },
    );
    expect(faults).toEqual([]);
  });

  it.each<[string, string, readonly Uint8Array[], { readonly code: number; readonly answers: number }]>([
    ['an ordinary check', CHECK_PATH, [ordinary], { code: 0, answers: 1 }],
    [
      'a check with a body of 64 KiB',
      CHECK_PATH,
      [Buffer.concat([ordinary, Buffer.alloc(65_536)])],
      { code: 0, answers: 1 },
    ],
    ['a check without a message', CHECK_PATH, [], { code: 0, answers: 1 }],
    ['a check with two messages', CHECK_PATH, [ordinary, ordinary], { code: 0, answers: 1 }],
    ['an empty check', CHECK_PATH, [EMPTY], { code: 0, answers: 1 }],
    ['a method that is not there', '/envoy.service.auth.v3.Authorization/None', [EMPTY], { code: 12, answers: 0 }],
    ['the health of the server', `${HEALTH}/Check`, [EMPTY], { code: 0, answers: 1 }],
    ['the health of the service', `${HEALTH}/Check`, [service(AUTHORIZATION_SERVICE)], { code: 0, answers: 1 }],
    ['the health of another', `${HEALTH}/Check`, [service('other')], { code: 5, answers: 0 }],
    ['the list of all', `${HEALTH}/List`, [EMPTY], { code: 0, answers: 1 }],
    ['no health check', `${HEALTH}/Check`, [Buffer.of(0x0f)], { code: 3, answers: 0 }],
    ['an access log that is not offered', ACCESS_LOG_PATH, [EMPTY], { code: 12, answers: 0 }],
  ])('treat %s alike', async (_what, path, messages, { code, answers }) => {
    const { client, local, caller, server } = await stage();
    server.setServing(true);
    const { local: ours, network } = await bothOf([client(local), await caller()], path, messages);
    expect([ours?.code, ours?.answers.length]).toEqual([code, answers]);
    // The text about a missing method is the library's own.
    expect(code === 12 ? { ...network, details: '' } : network).toEqual(code === 12 ? { ...ours, details: '' } : ours);
  });
});
