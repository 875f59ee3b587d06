import { describe, expect, it } from '@jest/globals';
import { both, clientPart, describeWith, envoyPart } from '../parts.ts';
import { startAgentDomain } from './agent-domain.ts';
import { type AgentProgram, ranAgent } from './agents.ts';
import { startBank1, startBank2, type Bank } from './bank.ts';

const AUDIENCE = 'https://files.acme.test/mcp';

const CATALOG = `servers:
  files:
    hosts: [files.acme.test, localhost]
    audience: ${AUDIENCE}
    mcp:
      path: /mcp
      tools:
        transfer:
          action: bank.transfer
          risk: high
          otherArguments: deny
          args: { amount: { type: long, required: true } }
          inputs: { limit: { content: { amount: { type: long } } } }
`;
const POLICIES = `
@id("bank")
permit (principal in Remit::AgentGroup::"agents", action, resource in Remit::Server::"files");

@id("at-most-100")
forbid (principal, action == Remit::Action::"bank.transfer", resource)
when { context.args.amount > 100 };
`;
const INTENT = {
  purpose: 'pay small bills',
  access: [
    {
      resource: AUDIENCE,
      actions: ['bank.transfer'],
      constraints: { max_amount: { argument: 'amount', limit: 500 }, max_calls: 10 },
    },
  ],
  expires_in: '10m',
};

/** No task is suspended here. */
const lastTask = (): string => '';

/** Each SDK with its client below `remit run`, a real Envoy, Remit, and a server of the TypeScript SDK, which asks a person. Issue 37, point 2. */
const SDKS: readonly (readonly [string, AgentProgram, (packages: string) => Promise<Bank>, string])[] = [
  ['TypeScript 1.x, revision 2025-11-25', { program: 'pay-1.mjs', packages: null }, startBank1, 'nobody answered'],
  [
    'TypeScript 2.x, revision 2026-07-28',
    { program: 'pay-2.mjs', packages: 'mcp-bank' },
    startBank2,
    'policy.forbidden',
  ],
  ['Python 1.x, revision 2025-11-25', { program: 'pay_1.py', packages: 'mcp-python-1' }, startBank1, 'nobody answered'],
  [
    'Python 2.x, revision 2026-07-28',
    { program: 'pay_2.py', packages: 'mcp-python-2' },
    startBank2,
    'policy.forbidden',
  ],
];

describe.each(SDKS)('the SDK for %s', (_name, agent, startBank, words) => {
  describeWith(
    both(both(clientPart('mcp-bank'), clientPart(agent.packages ?? 'mcp-bank')), envoyPart()),
    'with an elicitation that the catalog names',
    ([[packages], envoy]) => {
      it('pays what a person answers within the policies, and nothing beyond them', async () => {
        const server = await startBank(packages);
        const called = {
          server,
          catalog: CATALOG,
          policies: POLICIES,
          intent: INTENT,
          url: AUDIENCE,
          urlEnd: '',
          lastTask,
        } as const;
        const domain = await startAgentDomain(envoy, called);
        try {
          const { code, out, err } = await ranAgent(agent, { ...domain.place, modelUrl: 'http://127.0.0.1:9' });
          expect([code, err.includes('Error') ? err : '']).toEqual([0, '']);
          const [first, second, third] = out.trim().split('\n');
          expect([first, third]).toEqual(['paid 80', 'paid 90']);
          expect(second).toContain(words);
          expect(server.paid).toEqual([80, 90]);
          expect(server.received.filter((body) => body.includes('1000000'))).toEqual([]);
          expect(domain.denials.map(({ reason }) => reason)).toEqual(['policy.forbidden']);
        } finally {
          await domain.close();
        }
      });
    },
  );
});
