import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { Ajv } from 'ajv';
import { broken } from '../../../src/core/ledger/proof/verdict.ts';
import { oscalOf, tokenOf } from '../../../src/tools/evidence/oscal.ts';
import type { EvidenceReport } from '../../../src/tools/evidence/report.ts';
import { controlWith, reportWith, soundWith } from './report-with.ts';

const schema = JSON.parse(readFileSync(join(import.meta.dirname, 'oscal-assessment-results.schema.json'), 'utf8'));
const validate = new Ajv({ strict: false, validateFormats: false }).compile(schema);

const resultsOf = (change: Partial<EvidenceReport> = {}) => {
  const document = JSON.parse(JSON.stringify(oscalOf(reportWith(change))));
  validate(document);
  expect(validate.errors).toBeNull();
  return document['assessment-results'];
};
const propsOf = (change: Partial<EvidenceReport>) =>
  Object.fromEntries(
    resultsOf(change).results[0].props.map(({ name, value }: Record<string, string>) => [name, value]),
  );
const record = (ref: number | string, proof: string | null) => ({
  ref,
  at: '2026-01-01T00:00:00.000Z',
  classes: ['E3' as const],
  what: ' a call\n',
  proof,
  why: null,
});
// OSCAL wants at least one control.
const controls = [controlWith()];
const id = (change: Partial<EvidenceReport> = {}) => resultsOf({ controls, ...change }).uuid;

describe('oscalOf', () => {
  it('has the same ids for the same report, and others for another ledger or period', () => {
    const ledger = { ...reportWith().ledger, origin: 'remit.acme.test/main/1' };
    const ids = [id(), id({ ledger }), id({ from: '2025-01-01T00:00:00.000Z' })];
    expect([id(), new Set(ids).size]).toEqual([ids[0], 3]);
    for (const each of ids) expect(each).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('reviews controls that have evidence, and no others', () => {
    const [result] = resultsOf({ controls: [...controls, controlWith({ id: 'AC-4', coverage: 'none' })] }).results;
    expect(result['reviewed-controls']['control-selections'][0]['include-controls']).toEqual([
      { 'control-id': 'ac-3' },
    ]);
    expect(result.observations).toHaveLength(2);
  });

  it('refers to the sampled records of a control that have a proof', () => {
    const sample = [record(7, 'a proof'), record('tools#8', null)];
    const { results, 'back-matter': matter } = resultsOf({
      sample,
      controls: [controlWith({ sample: [7, 'tools#8'] })],
    });
    const found = matter.resources.find(({ title }: Record<string, string>) => title?.startsWith('Record '));
    expect(results[0].observations[1]['relevant-evidence']).toEqual([
      { href: `#${found.uuid}`, description: 'Record 7, drawn at random, with its proof of inclusion.' },
    ]);
    expect(Buffer.from(found.base64.value, 'base64').toString()).toBe('a proof');
    expect([found.description, found.base64.filename]).toEqual(['a call?', 'record-7.tlog-proof']);
  });

  it('has no evidence of a control without a proof', () => {
    const [result] = resultsOf({ sample: [record(7, null)], controls: [controlWith({ sample: [7] })] }).results;
    expect(result.observations[1]).not.toHaveProperty('relevant-evidence');
  });

  it('has the text of each file of a policy set, but of no empty file and of none that is not here', () => {
    const files = ['a', '', null].map((text, n) => ({ name: `f${n}.cedar`, bytes: 1, text }));
    const judged = { problem: 'it was not looked at' };
    const policySets = [{ hash: 'h', decisions: 1, isInForce: true, loads: [], text: 'kept', files, judged }];
    const titles = resultsOf({ controls, policySets })['back-matter'].resources.map(
      ({ title }: { title: string }) => title,
    );
    expect(titles).toEqual(['No assessment plan', 'f0.cedar of the policy set h']);
  });

  it('names the last anchor, with the time it was received or that nobody knows it', () => {
    const at = (receivedAt: string | null) => {
      const anchors = [
        { size: 1, receivedAt: 'before' },
        { size: 5, receivedAt },
      ];
      return propsOf({ controls, ledger: { ...reportWith().ledger, anchors } })['last-anchor'];
    };
    expect([at('2026-01-02'), at(null)]).toEqual([
      '5 records, received 2026-01-02',
      '5 records, received at an unknown time',
    ]);
    expect(propsOf({ controls })).not.toHaveProperty('last-anchor');
  });

  it('observes each log of a sidecar, and a broken ledger', () => {
    const log = {
      origin: 'tools/1',
      id: 'spiffe://acme.test/tools',
      state: 'lost' as const,
      atMs: null,
      anchored: 5,
      received: 3,
      pruned: 0,
      missing: 2,
      links: 0,
      unlinked: 0,
      verdict: soundWith(),
      counted: [],
    };
    const ledger = { ...reportWith().ledger, verdict: broken('record', 7, 'was changed') };
    const [result] = resultsOf({ controls, ledger, received: [log] }).results;
    const [own, received] = result.observations.map(({ description }: { description: string }) => description);
    expect(own).toContain('BROKEN (record 7): was changed');
    expect(received).toBe('tools/1 of spiffe://acme.test/tools: whole; 2 records are missing');
  });

  it('has no empty text, which OSCAL refuses, and no control character', () => {
    expect(propsOf({ controls, madeBy: ' \n ' })['made-by']).toBe('?');
    expect(propsOf({ controls, madeBy: ' ' })['made-by']).toBe('-');
  });
});

describe('tokenOf', () => {
  it.each([
    ['AC-6(9)', 'ac-6.9'],
    ['AC-3', 'ac-3'],
    ['PR.AA-05', 'PR.AA-05'],
    ['Article 12(1)', 'Article-12-1'],
    ['8.15', '_8.15'],
    ['(a)', 'a'],
    ['', '_'],
    ['日本', '日本'],
  ])('of `%s` is `%s`', (id, token) => {
    expect(tokenOf(id)).toBe(token);
  });
});
