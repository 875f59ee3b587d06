import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { Agent } from '../../src/dev/agent.ts';
import type { AgentCall } from '../../src/dev/agent.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { testFolder } from '../builders/test-folders.ts';
import { ISSUING, writePolicies } from './written-policies.ts';
import { callPayments, mustDeclare, startDomain } from './domain.ts';

const CATALOG = `servers:
  payments:
    hosts: [payments.acme.test]
    audience: https://payments.acme.test
    routes:
      - { action: payments.read, method: GET, path: '/v1/payments/{id}', risk: low }
  files:
    hosts: [files.acme.test]
    audience: https://files.acme.test
    mcp:
      path: /mcp
      tools:
        read_file: { action: files.read, risk: low, args: { name: { maxBytes: 65536 } } }
      resources: { action: files.resource, risk: low }
`;

const POLICIES = `
@id("read")
permit (principal in Remit::AgentGroup::"agents", action == Remit::Action::"payments.read", resource);
`;

/** The `@` has a password looked for before it. */
const letters = (chars: number): string => `${'a'.repeat(chars)}@`;
const LETTERS = letters(60_000);

/** Calls without a token whose texts took seconds each to read. */
const HOSTILE: readonly (readonly [what: string, call: AgentCall])[] = [
  ['tool name', mcp('tools/call', { name: LETTERS })],
  ['tool argument', mcp('tools/call', { name: 'read_file', arguments: { name: LETTERS } })],
  ['argument name', mcp('tools/call', { name: 'read_file', arguments: { [LETTERS]: 1 } })],
  ['resource', mcp('resources/read', { uri: LETTERS })],
  ['method', mcp(`a${LETTERS}`, {})],
  ['path', { host: 'payments.acme.test', path: `/${letters(8_000)}` }],
  ['query', { host: 'payments.acme.test', path: `/v1/payments/p-1?a=${letters(8_000)}` }],
];

function mcp(method: string, params: object): AgentCall {
  return {
    host: 'files.acme.test',
    method: 'POST',
    path: '/mcp',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  };
}

const reasonOf = (body: string): unknown => /"reason":"([\w.-]+)"/.exec(body)?.[1];

/** Issue 37, point 1: one such call each 4 s made a quarter of the calls of another agent 503. */
describeWith(envoyPart(), 'an agent that sends hostile texts without a token, through Envoy', (envoy) => {
  const scratch = testFolder(async () => {
    attacker?.close();
    await domain?.stop();
  });
  let domain: DevDomain;
  let attacker: Agent;

  beforeAll(async () => {
    const policies = join(scratch.folder, 'policies');
    await writePolicies(policies, { ...ISSUING, 'actions.yaml': CATALOG, 'policies/read.cedar': POLICIES });
    domain = await startDomain(envoy, {
      folder: scratch.folder,
      policies,
      // Six times the shipped deadline, for a loaded machine; eight such calls together took twice that on a quiet one.
      envoyConfig: (text) => text.replace('timeout: 10s', 'timeout: 3s'),
    });
    attacker = new Agent(await domain.authority.svid('/ns/agents/sa/attacker'), domain.authority.bundlePem);
  });

  it.each(HOSTILE)('is refused for the token, whatever its %s', async (_what, call) => {
    const { body } = await attacker.call(domain.stage.envoyPort, call);
    expect(reasonOf(body)).toBe('token.missing');
  });

  it('makes no call of another agent fail', async () => {
    const { planner, envoyPort } = domain.stage;
    const declared = await mustDeclare(planner, domain, { actions: ['payments.read'] });
    const attack = Promise.all(
      HOSTILE.flatMap(([, call]) =>
        Array.from({ length: 8 }, async () => (await attacker.call(envoyPort, call)).status),
      ),
    );
    const answers: unknown[] = [];
    for (let n = 0; n < 100; n += 1) answers.push(await callPayments(planner, domain, declared));
    expect(answers.filter((answer) => JSON.stringify(answer) !== '[200,null]')).toEqual([]);
    expect((await attack).filter((status) => status === 503)).toEqual([]);
  });
});
