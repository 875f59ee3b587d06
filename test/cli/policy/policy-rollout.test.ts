import { afterEach, describe, expect, it } from '@jest/globals';
import { AdminServer } from '../../../src/serve/admin/server.ts';
import { policyRollout } from '../../../src/cli/policy/policy-rollout.ts';
import type { TrialReport } from '../../../src/core/shadow/trial.ts';
import { exampleFolder } from '../example-folder.ts';

const empty: TrialReport = {
  live: 'sha-256:live',
  candidate: 'sha-256:new',
  shadow: ['night-freeze'],
  compared: 12,
  skipped: 0,
  groups: [],
  ungrouped: 0,
};
const group = {
  source: 'candidate',
  change: 'allow-to-deny',
  action: 'files.read',
  agent: 'spiffe://acme.test/a',
  intent: 'look\u001b[31m',
  reason: null,
  otherwise: 'policy.forbidden',
  formerIds: ['p'],
  policyIds: ['f'],
  count: 3,
  examples: [{ decisionId: '0198f7a2', atMs: 0 }],
} as const;

describe('remit policy rollout', () => {
  let server: AdminServer | null = null;
  afterEach(() => server?.close());
  const run = async (report: TrialReport, ...args: readonly string[]) => {
    server = new AdminServer([], { scrape: () => ({ contentType: 'text/plain', body: '' }), trial: () => report });
    const port = await server.listen({ host: '127.0.0.1', port: 0 });
    const folder = exampleFolder();
    try {
      return await folder.run(policyRollout, '--admin', `http://127.0.0.1:${port}`, ...args);
    } finally {
      folder.remove();
    }
  };

  it('reports that nothing differs', async () => {
    expect(await run(empty)).toEqual({
      code: 0,
      out: [
        'in force: sha-256:live',
        'candidate: sha-256:new',
        'in shadow: night-freeze',
        '12 decisions compared: 0 kinds of difference',
      ],
      err: [],
    });
  });

  it('lists differences, without control characters from agents', async () => {
    const { code, out } = await run({ ...empty, skipped: 2, ungrouped: 1, groups: [group] });
    expect(code).toBe(1);
    expect(out.slice(3)).toEqual([
      '3 x allow to deny (allow by p to policy.forbidden by f) of the candidate',
      expect.stringMatching(/^ {2}files\.read by spiffe:\/\/acme\.test\/a for "look.*"$/),
      '  such as 1970-01-01T00:00:00.000Z 0198f7a2',
      '12 decisions compared, 2 skipped: 1 kind of difference and 1 more differences of other kinds',
    ]);
    expect(out.join('\n')).not.toContain('\u001b');
  });

  it('prints the report with --json', async () => {
    const { code, out } = await run({ ...empty, groups: [group] }, '--json');
    expect([code, JSON.parse(out.join(''))]).toEqual([1, { ...empty, groups: [group] }]);
  });

  it.each([
    ['an address that does not answer', ['--admin', 'http://127.0.0.1:1'], '`http://127.0.0.1:1` did not answer'],
    ['an invalid URL', ['--admin', 'x'], 'invalid URL `x`'],
  ])('refuses %s', async (_name, args, message) => {
    const folder = exampleFolder();
    try {
      const answer = await folder.run(policyRollout, ...args);
      expect(answer).toEqual({ code: 2, out: [], err: [`remit policy rollout: ${message}`] });
    } finally {
      folder.remove();
    }
  });
});
