import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { methodOf } from '../../../src/core/fleet/service.ts';
import { elsewhereMessage, reportedUsesFrom, usesFrom, usesMessage } from '../../../src/core/fleet/token-uses.ts';
import { allowedFrom, allowedText, usesElsewhere } from '../../../src/core/state/reported-uses.ts';
import type { ReportedUses } from '../../../src/core/state/reported-uses.ts';
import { MAX_REMEMBERED_USES } from '../../../src/core/token/reuse.ts';
import type { AllowedUses } from '../../../src/core/token/reuse.ts';

const span = (n: number) => ({ traceId: String(n).repeat(32), spanId: String(n).repeat(16) });
const allowed = (n: number, address: string | null = `10.0.0.${n}`): AllowedUses => ({
  traces: [n, n + 100],
  places: { address, certificate: `c-${n}`, connections: [], servers: ['payments', `s-${n}`], risks: ['low'] },
});
const report = (n: number, change: Partial<ReportedUses> = {}): ReportedUses => ({
  jtiDigest: 'digest',
  uses: n,
  firstMs: n,
  lastMs: n,
  last: span(n),
  allowed: allowed(n),
  ...change,
});

describe('usesElsewhere', () => {
  it('is nothing if nothing was reported', () => {
    expect(usesElsewhere([])).toBeNull();
  });

  it('has the highest number, the span of the latest report and the node of the first report', () => {
    const reports = [report(3, { firstMs: 1, lastMs: 9 }), report(5, { firstMs: 2, lastMs: 4 })];
    expect(usesElsewhere(reports)).toEqual({
      reporters: 2,
      firstMs: 1,
      uses: 5,
      last: span(3),
      allowed: {
        traces: [5, 105, 3, 103],
        places: {
          address: '10.0.0.3',
          certificate: 'c-3',
          connections: [],
          servers: ['s-5', 'payments', 's-3'],
          risks: ['low'],
        },
      },
    });
  });

  it('has no node of denied uses, and the span of an older report if the latest has none', () => {
    const reports = [report(1), report(7, { last: null, allowed: null })];
    expect(usesElsewhere(reports)).toMatchObject({
      uses: 7,
      last: span(1),
      allowed: { places: { address: '10.0.0.1' } },
    });
    expect(usesElsewhere([report(7, { allowed: null })])).toMatchObject({ uses: 7, allowed: null });
  });

  it('remembers at most as many places as one process does, the latest', () => {
    const { allowed: all } = usesElsewhere(Array.from({ length: 8 }, (_, n) => report(n + 1))) ?? {};
    expect(all?.traces).toHaveLength(MAX_REMEMBERED_USES);
    expect(all?.places.servers).toHaveLength(MAX_REMEMBERED_USES);
    expect(all?.places.servers.slice(-2)).toEqual(['payments', 's-8']);
  });
});

const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
const list = fc.uniqueArray(text, { maxLength: MAX_REMEMBERED_USES });
const anyAllowed = fc
  .record({
    address: fc.option(fc.ipV4()),
    certificate: fc.option(text),
    servers: list,
    risks: list,
    traces: fc.array(fc.nat(2 ** 30 - 1), { maxLength: MAX_REMEMBERED_USES }),
  })
  .map(({ traces, ...places }): AllowedUses => ({ traces, places: { ...places, connections: [] } }));
const anySpan = fc.record({
  traceId: fc.stringMatching(/^[0-9a-f]{32}$/),
  spanId: fc.stringMatching(/^[0-9a-f]{16}$/),
});
const anyUses = fc.record({
  uses: fc.integer({ min: 1, max: 2 ** 48 }),
  last: fc.option(anySpan),
  allowed: fc.option(anyAllowed),
});

describe('uses of a token', () => {
  it('are the same after the wire, in a report and in a card, and after the database', () => {
    const { requestSerialize, requestDeserialize } = methodOf('Follow');
    fc.assert(
      fc.property(anyUses, (uses) => {
        const message = { id: 1, touched: [], stolen: [], secrets: [], uses: [usesMessage('digest', uses)] };
        const up = requestDeserialize(requestSerialize({ of: 'report', report: message }));
        const [read] = up.of === 'report' ? up.report.uses : [];
        expect(read && reportedUsesFrom(read)).toEqual({ jtiDigest: 'digest', ...uses });
        expect(usesFrom(elsewhereMessage({ ...uses, reporters: 1, firstMs: 1 }))).toEqual(uses);
        expect(allowedFrom(allowedText(uses.allowed))).toEqual(uses.allowed);
      }),
    );
  });

  const good = usesMessage('digest', { uses: 3, last: span(1), allowed: allowed(1) });
  const place = { address: '', certificate: '', servers: [], risks: [], traces: [] };
  it.each([
    ['no token', { jti_digest: '' }],
    ['no number', { uses: 0 }],
    ['a number that leaves no room for later reports', { uses: 2 ** 53 - 1 }],
    ['a long address', { allowed: { ...place, address: 'a'.repeat(513) } }],
    ['many servers', { allowed: { ...place, servers: Array.from({ length: 9 }, (_, n) => `s-${n}`) } }],
    ['an empty name', { allowed: { ...place, risks: [''] } }],
    ['a mark that no trace has', { allowed: { ...place, traces: [2 ** 30] } }],
  ])('are not taken from a report with %s', (_name, change) => {
    expect(reportedUsesFrom({ ...good, ...change })).toBeNull();
  });

  it('have no span if the ids are none', () => {
    expect(reportedUsesFrom({ ...good, trace_id: 'x' })).toMatchObject({ last: null });
  });
});
