import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import type { Catalog } from '../../../src/core/action/catalog/catalog.ts';
import { editedEnforcement } from '../../../src/tools/observe/edited-enforcement.ts';
import type { EnforcementChange } from '../../../src/tools/observe/edited-enforcement.ts';
import { unifiedDiff } from '../../../src/tools/observe/unified-diff.ts';
import { enforcementFile } from '../../../src/tools/init/enforcement-file.ts';
import { answersFrom } from '../../../src/tools/init/answers.ts';
import { folderWith, mustLoad } from '../../builders/policy-folder.ts';
import { testFolders } from '../../builders/test-folders.ts';

const folder = testFolders();

const nowMs = Date.UTC(2026, 11, 1);
let catalog: Catalog;
beforeAll(async () => {
  ({ catalog } = await mustLoad(folderWith('')));
});

const text = `# What is not enforced yet.
observe:
  # The old ones.
  - id: legacy # CHG-1
    agents: ['spiffe://acme.test/ns/legacy/*']   # the namespace
    servers: [files, 'legacy.acme.test']
    until: 2027-01-31            # a Sunday
    owner: t
    because: x

  # Two agents, by name.
  - id: two
    agents:
      # the first
      - spiffe://acme.test/ns/a/sa/x # comment of x
      - "spiffe://acme.test/ns/a/sa/y"
    until: 2027-01-31
    owner: t
    because: x
# The end.
`;

const mustEdit = (from: string, ...changes: readonly EnforcementChange[]): string => {
  const to = edited(from, ...changes);
  if (typeof to !== 'string') throw new Error(to.problem);
  return to;
};

const edited = (from: string, ...changes: readonly EnforcementChange[]) =>
  editedEnforcement({ text: from, file: 'p/enforcement.yaml' }, changes, { catalog, nowMs });

/** The lines that go and come, without those that stay. */
const changedLines = (from: string, ...changes: readonly EnforcementChange[]): readonly string[] => {
  return unifiedDiff('enforcement.yaml', from, mustEdit(from, ...changes))
    .split('\n')
    .filter((line) => /^[+-](?![+-]{2} [ab]\/)/.test(line));
};

describe('editedEnforcement', () => {
  it('takes out an entry with the comment above it, and touches nothing else', () => {
    expect(changedLines(text, { id: 'legacy', key: 'agents', names: [] })).toEqual(
      text
        .split('\n')
        .slice(2, 10)
        .map((line) => `-${line}`),
    );
    expect(changedLines(text, { id: 'two', key: 'agents', names: [] })).toHaveLength(9);
  });

  it('leaves a file that observes nothing if all entries go', async () => {
    const none = mustEdit(text, { id: 'two', key: 'agents', names: [] }, { id: 'legacy', key: 'agents', names: [] });
    expect(none).toBe('# What is not enforced yet.\nobserve:\n# The end.\n');
    const set = await mustLoad(folderWith('@id("a") permit (principal, action, resource);', { enforcement: none }));
    expect(set.observed).toEqual([]);
  });

  it('changes the names of a list in brackets on its line', () => {
    expect(changedLines(text, { id: 'legacy', key: 'agents', names: ['spiffe://acme.test/ns/legacy/sa/a'] })).toEqual([
      "-    agents: ['spiffe://acme.test/ns/legacy/*']   # the namespace",
      '+    agents: [spiffe://acme.test/ns/legacy/sa/a]   # the namespace',
    ]);
    expect(changedLines(text, { id: 'legacy', key: 'servers', names: ['legacy.acme.test'] })).toEqual([
      "-    servers: [files, 'legacy.acme.test']",
      "+    servers: ['legacy.acme.test']",
    ]);
  });

  it('changes the names of a list of lines line by line', () => {
    const [y, z] = ['y', 'z'].map((name) => `spiffe://acme.test/ns/a/sa/${name}`);
    expect(changedLines(text, { id: 'two', key: 'agents', names: [y ?? '', z ?? ''] })).toEqual([
      '-      # the first',
      '-      - spiffe://acme.test/ns/a/sa/x # comment of x',
      `+      - ${z}`,
    ]);
  });

  it('writes the servers of an entry that named none', () => {
    expect(changedLines(text, { id: 'two', key: 'servers', names: ['files', '*.old.acme.test'] })).toEqual([
      '+    servers: ["files", "*.old.acme.test"]',
    ]);
  });

  it('refuses what it cannot edit, and what would not be read as asked', () => {
    const flow = 'observe: [{ id: a, agents: [spiffe://a.test/x], until: 2027-01-01, owner: t, because: x }]\n';
    expect(edited(flow, { id: 'a', key: 'agents', names: [] })).toMatchObject({
      problem: expect.stringContaining('by hand'),
    });
    expect(edited(text, { id: 'nobody', key: 'agents', names: [] })).toMatchObject({ problem: expect.any(String) });
    expect(edited(text, { id: 'two', key: 'agents', names: ['spiffe://acme.test/x\n  - id: all'] })).toMatchObject({
      problem: expect.any(String),
    });
    expect(edited(text, { id: 'legacy', key: 'servers', names: ['localhost'] })).toMatchObject({
      problem: expect.stringContaining('neither in the catalog nor a host'),
    });
  });

  it('edits what `remit init --observe` writes', () => {
    const answers = answersFrom(folder(), { 'trust-domain': 'acme.test', upstream: '127.0.0.1:1' });
    if ('problems' in answers) throw new Error(answers.problems.join());
    const made = enforcementFile(answers, { owner: 'team', nowMs }).replaceAll('[tools]', '[files]');
    expect(changedLines(made, { id: 'agents', key: 'agents', names: [] })).toHaveLength(7);
  });
});

describe('unifiedDiff', () => {
  it.each([
    ['an entry that goes', [{ id: 'legacy', key: 'agents', names: [] }]],
    [
      'two changes far from each other',
      [
        { id: 'legacy', key: 'agents', names: ['spiffe://acme.test/ns/legacy/sa/a'] },
        { id: 'two', key: 'agents', names: ['spiffe://acme.test/ns/a/sa/x'] },
      ],
    ],
    [
      'all entries',
      [
        { id: 'legacy', key: 'agents', names: [] },
        { id: 'two', key: 'agents', names: [] },
      ],
    ],
  ] as const)('is taken by git apply: %s', (_name, changes) => {
    for (const from of [text, text.trimEnd()]) {
      const to = mustEdit(from, ...changes);
      const within = folder();
      const path = join(within, 'enforcement.yaml');
      writeFileSync(path, from);
      const input = `${unifiedDiff('enforcement.yaml', from, to)}\n`;
      execFileSync('git', ['apply', '-'], { cwd: within, input });
      expect(readFileSync(path, 'utf8')).toBe(to);
    }
  });

  it('is empty without a change', () => {
    expect(unifiedDiff('a', text, text)).toBe('');
  });
});
