import { readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { taskRequestFrom } from '../../../src/agent/service/task-request.ts';
import { isProblem } from '../../../src/core/runtime/problem.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { type ServiceDomain, type StartedHelper, startServiceDomain } from './service-domain.ts';

const folder = testFolders(() => domain.close());
const openApi = JSON.parse(readFileSync('deploy/schemas/tasks.openapi.json', 'utf8')) as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
};
const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
ajv.addSchema({ $id: 'openapi', components: openApi.components });
const schemaOf = (name: string): ValidateFunction => ajv.compile({ $ref: `openapi#/components/schemas/${name}` });

let domain: ServiceDomain;
let helper: StartedHelper;
beforeAll(async () => {
  domain = await startServiceDomain(folder());
  helper = await domain.helper();
});

const answered = async (url: string, init: RequestInit = {}): Promise<readonly [number, unknown]> => {
  const answer = await fetch(url, init);
  return [answer.status, await answer.json()];
};

// Issue 44, point 1.
describe('tasks.openapi.json', () => {
  const isRequest = schemaOf('TaskRequest');

  it.each<readonly [string, object]>([
    ['the least', { intent: 'look.yaml' }],
    ['an intent of its own', { intent: { purpose: 'x' } }],
    [
      'all members',
      {
        intent: 'a',
        purpose: 'p',
        constraints: {},
        subject_token: 'a.b',
        subject_token_type: 'x',
        expires_in: '5m',
        idle: 5,
        hold: true,
      },
    ],
    ['no intent', {}],
    ['an unknown member', { intent: 'a', purposes: 'x' }],
    ['a path as the intent', { intent: '../a' }],
    ['a number as the intent', { intent: 3 }],
    ['an empty purpose', { intent: 'a', purpose: '' }],
    ['a long purpose', { intent: 'a', purpose: 'x'.repeat(16_384) }],
    ['a purpose that is too long', { intent: 'a', purpose: 'x'.repeat(16_385) }],
    ['a long token', { intent: 'a', subject_token: 'x'.repeat(16_384) }],
    ['a token that is too long', { intent: 'a', subject_token: 'x'.repeat(16_385) }],
    ['no duration', { intent: 'a', expires_in: '0s' }],
    ['a duration that is too long', { intent: 'a', idle: 2_592_001 }],
    ['a word for `hold`', { intent: 'a', hold: 'yes' }],
  ])('and the helper agree on a request with %s', (_name, request) => {
    expect(isRequest(request)).toBe(!isProblem(taskRequestFrom(Buffer.from(JSON.stringify(request)))));
  });

  it('describes each answer', async () => {
    const url = helper.variables['REMIT_TASKS'] ?? '';
    const post = (request: object) => answered(url, { method: 'POST', body: JSON.stringify(request) });
    const [status, task] = await post({ intent: 'both.yaml' });
    const { end } = task as { readonly end: string };
    const seen: readonly (readonly [name: string, expected: number, answer: readonly [number, unknown]])[] = [
      ['Task', 201, [status, task]],
      ['Counts', 200, await answered(url)],
      ['Refusal', 400, await post({ intent: 'none.yaml' })],
      ['Refusal', 403, await post({ intent: {} })],
      ['State', 200, await answered(end)],
      ['State', 200, await answered(end, { method: 'DELETE' })],
      ['Refusal', 409, await answered(`${end}/cancel`, { method: 'POST' })],
      ['Refusal', 404, await answered(`${new URL(end).origin}/none`)],
      ['Refusal', 403, await answered(url, { headers: { origin: 'https://evil.test' } })],
    ];
    for (const [name, expected, [code, body]] of seen) {
      const fits = schemaOf(name);
      expect([name, code, fits(body), fits.errors]).toEqual([name, expected, true, null]);
    }
    expect(Object.keys(openApi.paths)).toEqual(['/{secret}/tasks', '/{end}', '/{end}/cancel']);
  });
});
