import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { parse } from 'yaml';
import { cures } from '../../../src/core/decision/cures.ts';
import { nextSteps } from '../../../src/core/decision/next-step.ts';
import { type Reason, type ReasonCode, reasons } from '../../../src/core/decision/reasons.ts';
import { isUuid, uuidMs, uuidV7 } from '../../../src/core/decision/uuid.ts';

describe('reasons', () => {
  it('are documented, each with its status, its text and its next step, and nothing else is', () => {
    const page = readFileSync(resolve(import.meta.dirname, '../../../deploy/guide/fix/reasons.md'), 'utf8');
    const rows = [...page.matchAll(/^\| <a id="([^"]+)"><\/a>`([^`]+)` \| (\d+) \| (.*?) \| `(\w+)` \| .+ \|$/gm)];
    expect(rows.map(([, anchor, code, status, text, next]) => [anchor, code, Number(status), text, next])).toEqual(
      Object.entries(reasons).map(([code, reason]) => [code, code, reason.httpStatus, reason.text, reason.next]),
    );
  });

  it('have the cures of that page, without its links', () => {
    const page = readFileSync(resolve(import.meta.dirname, '../../../deploy/guide/fix/reasons.md'), 'utf8');
    const rows = [...page.matchAll(/^\| <a id="([^"]+)"><\/a>`[^`]+` \| \d+ \| .*? \| `\w+` \| (.+) \|$/gm)];
    const documented = rows.map(([, code = '', cure = '']) => [code, cure.replaceAll(/\[([^\]]+)\]\([^)]+\)/g, '$1')]);
    expect(Object.fromEntries(documented)).toEqual(cures);
  });

  it('tell on that page what each next step asks of a client', () => {
    const page = readFileSync(resolve(import.meta.dirname, '../../../deploy/guide/fix/reasons.md'), 'utf8');
    const rows = [...page.matchAll(/^\| `(\w+)` \| .+ \|$/gm)].map(([, word]) => word);
    expect(rows).toEqual(['next', ...Object.keys(nextSteps)]);
  });

  it('ask for no new task if somebody stopped the task or its budget is spent', () => {
    const stopping: readonly ReasonCode[] = ['task.suspended', 'task.cancelled', 'task.revoked'];
    expect(stopping.map((code) => [reasons[code].next, reasons[code].httpStatus])).toEqual(
      stopping.map(() => ['stop', 403]),
    );
    expect(reasons['task.exhausted'].next).toBe('ask_person');
  });

  it.each(['envoy.yaml', 'envoy-spire.yaml', 'envoy-processes.yaml', 'envoy-network.yaml'])(
    'are documented with those of Envoy, which %s has in its local replies',
    (file) => {
      const deploy = resolve(import.meta.dirname, '../../../deploy');
      const page = readFileSync(resolve(deploy, 'guide/fix/reasons.md'), 'utf8');
      const shipped = readFileSync(resolve(deploy, 'envoy', file), 'utf8');
      const documented = [...page.matchAll(/^- <a id="(envoy\.[a-z-]+)"><\/a>`([^`]+)`, (\d+)/gm)].map(
        ([, ...row]) => row,
      );
      const { mappers } =
        parse(shipped).static_resources.listeners[0].filter_chains[0].filters[0].typed_config.local_reply_config;
      const said = mappers.map((mapper: { readonly body_format_override: Readonly<Record<string, unknown>> }) => {
        const { reason } = mapper.body_format_override['json_format'] as { readonly reason: string };
        // A reply in the place of a decision is for whatever status the filter gives, which is 503.
        return [reason, reason, /"default_value":(\d+)/.exec(JSON.stringify(mapper))?.[1] ?? '503'];
      });
      expect(new Set(documented.map(String))).toEqual(new Set(said.map(String)));
      expect(said).toHaveLength(4);
    },
  );

  it.each(Object.entries(reasons))('%s is a denial to Envoy and to the client', (code, reason) => {
    expect(code).toMatch(/^[a-z]+(\.[a-z-]+)?$/);
    expect(reason.grpcStatus).toBeGreaterThan(0);
    expect(reason.httpStatus).toBeGreaterThanOrEqual(400);
    expect(reason.retryable).toBe(reason.httpStatus === 503);
    expect(reason.next === 'retry_later').toBe(reason.retryable);
  });

  it('are a 401 only if a new token is the cure, so that no stock client declares its way around a stop', () => {
    const entries: readonly [string, Reason][] = Object.entries(reasons);
    const unauthorized = entries.filter(([, { httpStatus }]) => httpStatus === 401).map(([code]) => code);
    expect(unauthorized.filter((code) => code.startsWith('task.'))).toEqual(['task.unknown']);
    const challenged = entries.filter(([, { challenge }]) => challenge === '' || challenge === 'invalid_token');
    expect(challenged.map(([code]) => code)).toEqual(unauthorized);
  });
});

describe('uuidV7', () => {
  it('carries the time first, so that ids sort by it, and its version and variant', () => {
    const random = fc.uint8Array({ minLength: 16, maxLength: 16 });
    const time = fc.integer({ min: 0, max: 2 ** 48 - 2 });
    fc.assert(
      fc.property(time, random, random, (nowMs, one, two) => {
        const [a, b] = [uuidV7(nowMs, one), uuidV7(nowMs + 1, two)];
        expect(a).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        expect(Number.parseInt(a.replaceAll('-', '').slice(0, 12), 16)).toBe(nowMs);
        expect(uuidMs(a)).toBe(nowMs);
        expect(a < b).toBe(true);
      }),
    );
  });
});

it.each(['', 'd-1', '01990000-0000-4000-8000-00000000abcf', '01990000-0000-7000-8000-00000000abcf0'])(
  'uuidMs gives no time of a text that is no UUIDv7: %j',
  (text) => expect(uuidMs(text)).toBeNaN(),
);

describe('isUuid', () => {
  const pattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

  it.each([
    ['of any version, in lower case', '01990000-0000-7000-8000-00000000abcf', true],
    ['of nothing but zeros', '00000000-0000-0000-0000-000000000000', true],
    ['in upper case', '01990000-0000-7000-8000-00000000ABCF', false],
    ['that goes on', '01990000-0000-7000-8000-00000000abcf\n', false],
    ['that is cut', '01990000-0000-7000-8000-00000000abc', false],
    ['without hyphens', '0199000000007000800000000000abcf0000', false],
    ['with hyphens elsewhere', '0199000-00000-7000-8000-00000000abcf', false],
  ])('knows a text %s', (_name, text, expected) => {
    expect([isUuid(text), pattern.test(text)]).toEqual([expected, expected]);
  });

  it('is the pattern, of a UUID with characters changed', () => {
    const change = fc.tuple(
      fc.nat(35),
      fc.constantFrom('0', '9', 'a', 'f', 'g', '-', '/', ':', '@', '`', 'A', 'F', 'G', ' ', 'é'),
    );
    fc.assert(
      fc.property(fc.uuid(), fc.array(change, { maxLength: 2 }), (uuid, changes) => {
        const chars = uuid.split('');
        for (const [at, char] of changes) chars[at] = char;
        const text = chars.join('');
        expect(isUuid(text)).toBe(pattern.test(text));
      }),
      { numRuns: 1_000 },
    );
  });
});
