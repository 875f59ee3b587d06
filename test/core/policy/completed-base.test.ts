import { describe, expect, it } from '@jest/globals';
import { builtInBase } from '../../../src/core/policy/built-in-base.ts';
import { freshCedar } from '../../../src/core/policy/cedar.ts';
import { completedBase } from '../../../src/core/policy/completed-base.ts';

const shipped = builtInBase();
const completed = (own: string) => completedBase(own, shipped);
const problemOf = (text: string): unknown => freshCedar().checkParseSchema(text);

describe('completedBase', () => {
  it('leaves the shipped schema as it is, and every comment of it', () => {
    expect(completed(shipped)).toEqual({ text: shipped, replaced: [] });
    const commented = shipped.replace('uses: Long,', 'uses: Long, // ours');
    expect(completed(commented)).toEqual({ text: commented, replaced: [] });
  });

  it('keeps what a folder declares besides, and the attributes that it gives to entities', () => {
    const own = shipped
      .replace('entity Agent in [TrustDomain, AgentGroup];', 'entity Agent in [TrustDomain] = { team?: String };')
      .replace(
        'entity Server;',
        'entity Server { owner?: Owner } tags String;\n  type Owner = String;\n  entity Team;',
      );
    const { text, replaced } = completed(own);
    expect(replaced).toEqual(['Agent']);
    expect(text).toContain('entity Agent in [TrustDomain, AgentGroup] = { team?: String };');
    expect(text).toContain('entity Server { owner?: Owner } tags String;\n  type Owner = String;\n  entity Team;');
    expect(problemOf(text)).toEqual({ type: 'success' });
  });

  it('has the types of this build in place of others, and adds those that are missing', () => {
    const own = shipped
      .replace(/type Intent = \{[^]*?\};/, 'type Intent = { why: String };')
      .replace(/type Request = \{[^]*?\};/, '');
    const { text, replaced } = completed(own);
    expect(replaced).toEqual(['Intent', 'Request']);
    expect(text).not.toContain('why: String');
    expect(text).toContain('purpose: String');
    expect(text).toMatch(/\n {2}type Request = \{[^]*\};\n\}\n$/);
    expect(problemOf(text)).toEqual({ type: 'success' });
  });

  it.each([
    ['no namespace', 'entity Agent;'],
    ['an open namespace', 'namespace Remit { entity Agent;'],
    ['nothing', ''],
  ])('leaves a text with %s to the parser', (_what, own) => {
    expect(completed(own)).toEqual({ text: own, replaced: [] });
  });

  it('leaves entities that are declared together, or with all of their ids', () => {
    const own = shipped
      .replace('entity TrustDomain;', 'entity TrustDomain, Realm;')
      .replace('entity Server;', 'entity Server enum ["pay"];');
    expect(completed(own)).toEqual({ text: own, replaced: [] });
  });

  // INVARIANT of completedBase.
  it('is given entities without attributes', () => {
    expect(shipped).not.toMatch(/entity [^;]*[={]/);
  });
});
