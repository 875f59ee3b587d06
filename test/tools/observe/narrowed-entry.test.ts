import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { SpiffeId } from '../../../src/core/identity/spiffe-id.ts';
import { coversAgent, withoutAgent, withoutServer } from '../../../src/tools/observe/narrowed-entry.ts';

const word = fc.constantFrom('a', 'b', 'ab', 'legacy');
const agent = fc.tuple(word, word).map(([ns, sa]) => `spiffe://acme.test/ns/${ns}/sa/${sa}` as SpiffeId);
const pattern = fc.oneof(
  agent.map(String),
  word.map((ns) => `spiffe://acme.test/ns/${ns}/*`),
  word.map((sa) => `spiffe://acme.test/ns/*/sa/${sa}`),
  word.map((ns) => `spiffe://acme.test/ns/${ns}*/sa/a*`),
  fc.constantFrom('*', 'spiffe://acme.test/*'),
);
const agents = fc.array(pattern, { minLength: 1, maxLength: 4 });

const server = fc.constantFrom('files', 'payments', 'one.old.test', 'two.old.test', 'old.test', 'three.test');
const servers = fc.option(fc.array(fc.oneof(server, fc.constant('*.old.test')), { minLength: 1, maxLength: 4 }));

/** Whether an entry with these servers is of one of them. */
const isOf = (named: readonly string[], one: string): boolean =>
  named.some((name) => (name.startsWith('*.') ? one.endsWith(name.slice(1)) : name === one));

describe('withoutAgent', () => {
  it('covers the agent no more, all others that were seen as before, and nobody who was not covered', () => {
    fc.assert(
      fc.property(agents, agent, fc.array(agent), agent, (named, gone, seen, other) => {
        const left = withoutAgent({ id: 'e', agents: named }, gone, seen);
        if (left === null) return expect(coversAgent({ agents: named }, gone)).toBe(false);
        const after = { agents: left.names };
        expect(coversAgent(after, gone)).toBe(false);
        for (const one of seen.filter((each) => each !== gone))
          expect(coversAgent(after, one)).toBe(coversAgent({ agents: named }, one));
        expect(coversAgent(after, other) && !coversAgent({ agents: named }, other)).toBe(false);
      }),
    );
  });

  it('is not of an entry for calls without an identity', () => {
    expect(withoutAgent({ id: 'e', agents: null }, 'spiffe://acme.test/a' as SpiffeId, [])).toBeNull();
    expect(coversAgent({ agents: null }, null)).toBe(true);
    expect(coversAgent({ agents: ['*'] }, null)).toBe(false);
  });
});

describe('withoutServer', () => {
  it('is of the server no more, of all others that were seen as before, and of none that it was not of', () => {
    fc.assert(
      fc.property(servers, server, fc.array(server), server, (named, gone, seen, other) => {
        const left = withoutServer({ id: 'e', servers: named }, gone, seen);
        if (left === null) return expect(isOf(named ?? [], gone)).toBe(false);
        expect(isOf(left.names, gone)).toBe(false);
        for (const one of seen.filter((each) => each !== gone))
          expect(isOf(left.names, one)).toBe(named === null || isOf(named, one));
        expect(isOf(left.names, other) && !(named === null || isOf(named, other))).toBe(false);
      }),
    );
  });
});
