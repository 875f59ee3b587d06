import { describe, expect, it } from '@jest/globals';
import { caseFileFrom } from '../../../../src/tools/policy/cases/case-file.ts';
import { findingLines, mustCases, planner, reporter } from './folder.ts';

const AGENT = 'spiffe://acme.test/ns/agents/sa/planner';
const one = (lines: string): string => `cases:\n  - name: a\n    agent: ${AGENT}\n${lines.replaceAll(/^/gm, '    ')}\n`;
const PAY = 'action: payments.list\nexpect: allow';

describe('caseFileFrom', () => {
  it('reads a case with all keys', () => {
    const [test] = mustCases(
      one(`now: 2026-02-03T04:05:06Z
call: { method: POST, url: 'https://a.test/b', headers: { X-A: [b, c] }, body: { d: 1 } }
task:
  purpose: pay
  actions: [payments.*]
  constraints: { max_calls: 2 }
  age_seconds: 5
  state: suspended
  risk: medium
  claimed: { model: m-1 }
  attested: [{ name: approval, value: finance, by: 'spiffe://acme.test/w' }]
  subject: ann
credential: { kind: task-token, binding: dpop, scope: [s], seconds_left: 9, uses: 3, reuse: [other-node] }
history: { actions: [x], labels: [y] }
expect: deny
reason: task.suspended
policies: [b, a]
shadow: [c]
skip: not yet`),
    );
    expect(test).toMatchObject({
      file: 's.test.yaml',
      line: 2,
      column: 5,
      name: 'a',
      skip: 'not yet',
      attempt: {
        kind: 'call',
        method: 'POST',
        url: 'https://a.test/b',
        headers: [
          ['X-A', 'b'],
          ['X-A', 'c'],
          ['content-type', 'application/json'],
        ],
      },
      circumstances: {
        agent: planner,
        nowMs: Date.UTC(2026, 1, 3, 4, 5, 6),
        task: {
          purpose: 'pay',
          actions: ['payments.*'],
          constraints: { maxCalls: 2 },
          ageSeconds: 5,
          state: 'suspended',
          risk: 'medium',
          claimed: { model: 'm-1' },
          attested: [{ name: 'approval', value: 'finance', by: 'spiffe://acme.test/w' }],
          subject: 'ann',
        },
        credential: {
          kind: 'task-token',
          binding: 'dpop',
          scope: ['s'],
          secondsLeft: 9,
          uses: 3,
          reuse: ['other-node'],
        },
        history: { actions: ['x'], labels: ['y'] },
      },
      expected: { decision: 'deny', reason: 'task.suspended', policies: ['a', 'b'], shadow: ['c'] },
    });
    expect(test?.attempt.kind === 'call' && Buffer.from(test.attempt.body ?? []).toString()).toBe('{"d":1}');
  });

  it('makes a case per agent and action, and lets keys of a case replace defaults', () => {
    const cases = mustCases(`defaults: { agent: ${AGENT}, task: { purpose: p, risk: high }, now: 2026-01-01T00:00:00Z }
cases:
  - { name: a, agents: [${reporter}, ${planner}], action: [x, y], args: { b: 1 }, expect: allow }
  - { name: b, issue: x, task: { purpose: q }, expect: deny }`);
    expect(
      cases.map(({ name, circumstances: { agent, task, nowMs } }) => [name, agent, task.purpose, task.risk, nowMs]),
    ).toEqual([
      [`a, as ${reporter}: x`, reporter, 'p', 'high', Date.UTC(2026, 0, 1)],
      [`a, as ${reporter}: y`, reporter, 'p', 'high', Date.UTC(2026, 0, 1)],
      [`a, as ${planner}: x`, planner, 'p', 'high', Date.UTC(2026, 0, 1)],
      [`a, as ${planner}: y`, planner, 'p', 'high', Date.UTC(2026, 0, 1)],
      ['b', planner, 'q', 'low', Date.UTC(2026, 0, 1)],
    ]);
  });

  const attempts: readonly (readonly [string, string, unknown])[] = [
    [
      'a tool',
      'mcp: { tool: t, arguments: { a: 1 } }',
      { kind: 'mcp', server: null, method: 'tools/call', params: { name: 't', arguments: { a: 1 } } },
    ],
    ['an MCP method', 'mcp: { server: s, method: ping }', { kind: 'mcp', server: 's', method: 'ping', params: {} }],
    [
      'an A2A method',
      'a2a: { method: SendMessage, params: { a: 1 } }',
      { kind: 'a2a', server: null, method: 'SendMessage', params: { a: 1 } },
    ],
    [
      'a gRPC method',
      'grpc: { method: p.S/M, message: CgE= }',
      { kind: 'grpc', server: null, method: 'p.S/M', message: Buffer.from([10, 1]) },
    ],
    [
      'an issuance',
      `issue: { action: x, ttl_seconds: 5, delegation: { parent: ${AGENT}, depth: 2 } }`,
      {
        kind: 'issue',
        action: 'x',
        ttlSeconds: 5,
        taskSeconds: 900,
        delegation: { parent: planner, depth: 2, attested: [] },
        stopped: null,
      },
    ],
    [
      'an issuance for a long task',
      'issue: { action: x, task_seconds: 28800 }',
      { kind: 'issue', action: 'x', ttlSeconds: 300, taskSeconds: 28_800, delegation: null, stopped: null },
    ],
    [
      'an issuance for a task that is shorter than a usual token',
      'issue: { action: x, task_seconds: 60 }',
      { kind: 'issue', action: 'x', ttlSeconds: 60, taskSeconds: 60, delegation: null, stopped: null },
    ],
    [
      'an issuance of a token that is longer than a usual task',
      'issue: { action: x, ttl_seconds: 1000 }',
      { kind: 'issue', action: 'x', ttlSeconds: 1_000, taskSeconds: 1_000, delegation: null, stopped: null },
    ],
    [
      'an issuance after a stop',
      'issue: { action: x, ttl_seconds: 5, stopped: { cause: signal, seconds_since: 7 } }',
      {
        kind: 'issue',
        action: 'x',
        ttlSeconds: 5,
        taskSeconds: 900,
        delegation: null,
        stopped: { cause: 'signal', secondsSince: 7, isSuspended: false },
      },
    ],
    [
      'a body as text',
      "call: { method: PUT, url: 'https://a.test', body: 'a=b' }",
      { kind: 'call', method: 'PUT', url: 'https://a.test', headers: [], body: Buffer.from('a=b') },
    ],
    [
      'a body as bytes',
      "call: { method: PUT, url: 'https://a.test', base64: 'AAE=' }",
      { kind: 'call', method: 'PUT', url: 'https://a.test', headers: [], body: Buffer.from([0, 1]) },
    ],
  ];
  it.each(attempts)('reads %s', (_name, line, attempt) => {
    expect(mustCases(one(`${line}\nexpect: allow`))[0]?.attempt).toEqual(attempt);
  });

  const bad: readonly (readonly [string, string, string])[] = [
    [
      'no YAML',
      'cases: [',
      '1:9: invalid YAML: flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
    ['a file without cases', 'defaults: {}', '1:1: a suite lacks the key `cases`'],
    ['an unknown key', one(`${PAY}\nallow: true`), '6:5: unknown key `allow` in a case'],
    ['an unknown default', 'defaults: { expect: allow }\ncases: []', '1:13: unknown key `expect` in `defaults`'],
    ['no name', `cases: [{ agent: ${AGENT}, action: x, expect: allow }]`, '1:9: a case lacks the key `name`'],
    [
      'a name with control characters',
      `cases: [{ name: "a\\e", agent: ${AGENT}, action: x, expect: allow }]`,
      '1:17: `name` must be printable, in one line',
    ],
    ['no agent', 'cases: [{ name: a, action: x, expect: allow }]', '1:9: the case lacks the key `agent`'],
    [
      'an agent that is no SPIFFE ID',
      'cases: [{ name: a, agent: planner, action: x, expect: allow }]',
      '1:27: `agent` must be a SPIFFE ID',
    ],
    [
      'nothing attempted',
      one('expect: allow'),
      '2:5: a case has exactly one of `call`, `mcp`, `a2a`, `grpc`, `action`, `issue`',
    ],
    [
      'two things attempted',
      one('issue: x\naction: x\nexpect: allow'),
      '2:5: a case has exactly one of `call`, `mcp`, `a2a`, `grpc`, `action`, `issue`',
    ],
    [
      'arguments of a call',
      one("call: { method: GET, url: 'https://a.test' }\nargs: {}\nexpect: allow"),
      '5:11: `args` goes with `action`',
    ],
    [
      'a tool and a method',
      one('mcp: { tool: t, method: m }\nexpect: allow'),
      '4:10: either `tool` or `method`, not both',
    ],
    [
      'two bodies',
      one("call: { method: GET, url: 'https://a.test', body: a, base64: AA== }\nexpect: allow"),
      '4:66: either `body` or `base64`, not both',
    ],
    [
      'no base64',
      one("call: { method: GET, url: 'https://a.test', base64: '%' }\nexpect: allow"),
      '4:57: `base64` must be base64',
    ],
    [
      'a header that is no text',
      one("call: { method: GET, url: 'https://a.test', headers: { a: 1 } }\nexpect: allow"),
      '4:63: the header `a` must be text, or a list of texts',
    ],
    ['no expectation', one('action: x'), '2:5: the case lacks the key `expect`'],
    ['another expectation', one('action: x\nexpect: maybe'), '5:13: `expect` must be one of `allow`, `deny`'],
    ['a reason of an allow', one(`${PAY}\nreason: policy.forbidden`), '6:13: an allow has no `reason`'],
    [
      'a reason that is none',
      one('action: x\nexpect: deny\nreason: toString'),
      '6:13: `reason` must be a reason code such as `policy.forbidden`',
    ],
    [
      'an instant without a zone',
      one(`now: 2026-01-01T00:00:00\n${PAY}`),
      '4:10: `now` must be an instant such as `2026-01-15T08:00:00Z`',
    ],
    [
      'a day that is none',
      one(`now: 2026-13-01T00:00:00Z\n${PAY}`),
      '4:10: `now` must be an instant such as `2026-01-15T08:00:00Z`',
    ],
    [
      'a constraint that is unknown',
      one(`task: { constraints: { max_cows: 1 } }\n${PAY}`),
      '4:26: `constraints` has an unknown constraint `max_cows`',
    ],
    [
      'two grants',
      one(
        `task: { authorization_details: [{ type: 'urn:remit:task', locations: ['https://a.test'], actions: [a] }], actions: [a] }\n${PAY}`,
      ),
      '4:36: `authorization_details` is the whole grant: leave `actions` and `constraints` out',
    ],
    [
      'a state that is none',
      one(`task: { state: done }\n${PAY}`),
      '4:20: `state` must be one of `active`, `suspended`, `completed`, `cancelled`, `revoked`, `expired`',
    ],
    [
      'claims that are no text',
      one(`task: { claimed: { a: 1 } }\n${PAY}`),
      '4:22: `claimed` must be a mapping of names to text',
    ],
    [
      'a context without its origin',
      one(`task: { context: { a: b } }\n${PAY}`),
      '4:22: `context` does not say whose word it is',
    ],
    [
      'an attested value that nobody attested',
      one(`task: { attested: [{ name: a, value: b }] }\n${PAY}`),
      '4:23: `attested` entry 0 member `by` is required',
    ],
    ['an unbound task token', one(`credential: { binding: none }\n${PAY}`), '4:28: a task token is always bound'],
    ['an alias', `cases: &a [*a]`, '1:12: aliases are not supported: write the value out'],
  ];
  it.each(bad)('refuses %s with its place', (_name, text, message) => {
    const read = caseFileFrom(text, 's.test.yaml');
    expect('findings' in read ? findingLines(read.findings) : read).toContain(`s.test.yaml:${message}`);
  });

  it('refuses more than 10,000 cases', () => {
    const ids = Array.from({ length: 101 }, (_, index) => `a${index}`).join(', ');
    const agents = Array.from({ length: 100 }, (_, index) => `spiffe://a.test/${index}`).join(', ');
    const read = caseFileFrom(`cases: [{ name: a, agents: [${agents}], action: [${ids}], expect: deny }]`, 's');
    expect('findings' in read && findingLines(read.findings)).toEqual([
      's:1:1: a suite has at most 10000 cases, this one 10100',
    ]);
  });
});
